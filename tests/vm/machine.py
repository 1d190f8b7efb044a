# SPDX-License-Identifier: Apache-2.0
"""A small virtual machine with Debian's own kernel, whose only file system is an archive in memory.

QEMU with software emulation, so neither /dev/kvm nor a module of this machine is needed. What the
guest says is a list of tests (TAP).
"""

import io
import lzma
import pathlib
import re
import shutil
import stat
import subprocess

KERNEL_PACKAGE = "linux-image-cloud-amd64"
BOOT_SECONDS = 600


class Missing(Exception):
    """What this machine lacks, in one sentence."""


def run(*command, **options):
    return subprocess.run(command, check=True, text=True, **options)


def need(program, package):
    path = shutil.which(program)
    if not path:
        raise Missing(f"{program} is missing: install the Debian package {package}")
    return path


def kernel_tree(work):
    """Downloads and unpacks the kernel that the meta package names; nothing is installed."""
    depends = run("apt-cache", "depends", KERNEL_PACKAGE, stdout=subprocess.PIPE).stdout
    found = re.search(r"Depends: (linux-image-\d\S+)", depends)
    if not found:
        raise Missing(f"apt knows no {KERNEL_PACKAGE}: run apt-get update")
    name = found.group(1)
    tree = work / name
    if not tree.exists():
        run("apt-get", "download", "-q", name, cwd=work, stdout=subprocess.DEVNULL)
        package = next(work.glob(f"{name}_*.deb"))
        unfinished = work / "unpacking"
        shutil.rmtree(unfinished, ignore_errors=True)
        run("dpkg-deb", "-x", package, unfinished)
        package.unlink()
        unfinished.rename(tree)
    return tree


def module_image(path):
    image = path.read_bytes()
    return lzma.decompress(image) if path.suffix == ".xz" else image


def modules_in_order(tree, *wanted):
    """The images of modules and all that they depend on, dependencies first."""
    files = {re.sub(r"\.ko(\.xz)?$", "", path.name).replace("-", "_"): path
             for path in tree.glob("**/*.ko*")}
    order = {}

    def visit(name):
        if name in order or name not in files:  # or it is built in
            return
        image = module_image(files[name])
        depends = re.search(rb"\0depends=([^\0]*)\0", image).group(1).decode()
        for other in filter(None, depends.split(",")):
            visit(other.replace("-", "_"))
        order[name] = image

    for name in wanted:
        visit(name)
    return order


class Archive:
    """A cpio archive in the "newc" format, as the kernel unpacks it
    (Documentation/driver-api/early-userspace/buffer-format.rst)."""

    def __init__(self):
        self.out = io.BytesIO()
        self.count = 0

    def add(self, name, mode, data=b"", device=(0, 0)):
        self.count += 1
        fields = (self.count, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
        self.out.write(b"070701" + b"".join(b"%08x" % field for field in fields))
        self.out.write(name.encode() + b"\0")
        self._pad()
        self.out.write(data)
        self._pad()

    def add_program(self, name, path):
        self.add(name, stat.S_IFREG | 0o755, pathlib.Path(path).read_bytes())

    def add_libraries(self, *programs):
        """What they are linked against, and the folders that it is in."""
        made = set()
        for library in sorted({it for program in programs for it in shared_libraries(program)}):
            for parent in reversed(pathlib.Path(library).parents[:-1]):
                if parent not in made:
                    made.add(parent)
                    self.add(str(parent)[1:], stat.S_IFDIR | 0o755)
            self.add_program(library[1:], library)

    def add_modules(self, tree, *names):
        for number, (name, image) in enumerate(modules_in_order(tree, *names).items()):
            self.add(f"modules/{number:02}-{name}.ko", stat.S_IFREG | 0o644, image)

    def _pad(self):
        self.out.write(b"\0" * (-self.out.tell() % 4))

    def finish(self):
        self.add("TRAILER!!!", 0)
        return self.out.getvalue()


def shared_libraries(program):
    """What a program needs beside itself: nothing, for one that is linked statically."""
    listed = subprocess.run(["ldd", program], text=True, capture_output=True, check=False).stdout
    return re.findall(r"(?:=> )?(/\S+) \(0x", listed)


def boot(qemu, kernel, initramfs):
    """Runs the guest to its end; yields its console's lines."""
    command = [
        "timeout", "--kill-after=5", str(BOOT_SECONDS), qemu,
        "-accel", "tcg", "-cpu", "max", "-m", "768",
        "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio",
        "-kernel", kernel, "-initrd", initramfs,
        "-append", "console=ttyS0 quiet panic=-1 mitigations=off",
    ]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as guest:
        for line in guest.stdout:
            yield line.decode(errors="replace").rstrip()
    if guest.returncode == 124:
        yield f"not ok - the guest did not end within {BOOT_SECONDS} seconds"


def judge(lines):
    """Prints the console and counts its test lines (TAP); returns (passed, failed)."""
    passed = failed = 0
    planned = None
    for line in lines:
        print(line, flush=True)
        if plan := re.match(r"1\.\.(\d+)$", line):
            planned = (planned or 0) + int(plan.group(1))
        passed += line.startswith("ok ")
        failed += line.startswith("not ok")
    if planned is None:
        print("not ok - the guest never came to its tests")
        failed += 1
    elif missing := planned - passed - failed:
        print(f"not ok - {missing} tests of {planned} did not report")
        failed += max(missing, 1)
    return passed, failed
