/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/proxy_header.h"

#include <errno.h>

ssize_t proxy_header_decode(const uint8_t *bytes, size_t length, struct proxy_header *ret)
{
	if (length == 0)
		return -EAGAIN;
	/* the first byte tells them apart: a carriage return, or the letter P */
	return bytes[0] == 'P' ? proxy_v1_decode(bytes, length, ret)
			       : proxy_v2_decode(bytes, length, ret);
}
