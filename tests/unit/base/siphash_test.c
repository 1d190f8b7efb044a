/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vectors that the authors of SipHash publish with their reference code (SipHash-2-4, 64 bits):
 * key 00 01 .. 0f, input 00 01 02 ... of each length. The one of length 15 is also in the paper.
 */
#include "support.h"

#include "base/siphash.h"

static const struct siphash_key reference_key = {
	.k0 = UINT64_C(0x0706050403020100),
	.k1 = UINT64_C(0x0f0e0d0c0b0a0908),
};

static void hashes_as_the_reference_does(void **state)
{
	static const struct {
		size_t length;
		uint64_t hash;
	} vectors[] = {
		{ 0, UINT64_C(0x726fdb47dd0e0e31) },  { 1, UINT64_C(0x74f839c593dc67fd) },
		{ 2, UINT64_C(0x0d6c8009d9a94f5a) },  { 3, UINT64_C(0x85676696d7fb7e2d) },
		{ 4, UINT64_C(0xcf2794e0277187b7) },  { 5, UINT64_C(0x18765564cd99a68d) },
		{ 6, UINT64_C(0xcbc9466e58fee3ce) },  { 7, UINT64_C(0xab0200f58b01d137) },
		{ 8, UINT64_C(0x93f5f5799a932462) },  { 15, UINT64_C(0xa129ca6149be45e5) },
		{ 63, UINT64_C(0x958a324ceb064572) },
	};
	unsigned char input[64];

	(void)state;
	for (size_t i = 0; i < sizeof(input); i++)
		input[i] = (unsigned char)i;
	for (size_t i = 0; i < COUNT_OF(vectors); i++)
		assert_true(siphash(&reference_key, input, vectors[i].length) == vectors[i].hash);
}

static void input_need_not_be_aligned(void **state)
{
	unsigned char aligned[16] = "client address", shifted[17];

	(void)state;
	memcpy(shifted + 1, aligned, 16);
	assert_true(siphash(&reference_key, aligned, 16) ==
		    siphash(&reference_key, shifted + 1, 16));
}

static void keys_are_random(void **state)
{
	struct siphash_key one = { 0 }, other = { 0 };

	(void)state;
	assert_int_equal(siphash_key_init(&one), 0);
	assert_int_equal(siphash_key_init(&other), 0);
	assert_memory_not_equal(&one, &other, sizeof(one));
	assert_true(siphash(&one, "x", 1) != siphash(&other, "x", 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes_as_the_reference_does),
		cmocka_unit_test(input_need_not_be_aligned),
		cmocka_unit_test(keys_are_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
