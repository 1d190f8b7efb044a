# SPDX-License-Identifier: Apache-2.0
"""The lab of the tests: hosts, clients and Docker Engines, in namespaces of their own.

All of it belongs to processes that end with the one that made them, even when that is killed; and
nothing that is sent in it can leave the machine.
"""
