/* SPDX-License-Identifier: Apache-2.0 */
/* Headers of the Simple Proxy Protocol: what is read is written as it was. */
#include "wire/spp.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct address client, proxy;
	uint8_t out[SPP_BYTES];

	if (!spp_decode(data, size, &client, &proxy))
		return 0;
	spp_encode(&client, &proxy, out);
	assert(size >= SPP_BYTES && memcmp(out, data, SPP_BYTES) == 0);
	return 0;
}
