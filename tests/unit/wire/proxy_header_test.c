/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PROXY headers. Those of version 2 are written as hexadecimal numbers; SIGNATURE, CLIENT and SERVER
 * are what nearly all begin with.
 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

#include "wire/proxy_header.h"

#define SIGNATURE "0d0a0d0a000d0a515549540a"
#define CLIENT "20010db8000000000000000000000001"
#define SERVER "20010db8000000000000000000000002"
#define PORTS "dc0401bb" /* 56324, 443 */

static struct proxy_header header;
static uint8_t bytes[1024];
static size_t length;

static int setup(void **state)
{
	(void)state;
	header = (struct proxy_header){ .protocol = PROTOCOL_TCP,
					.source = address_of("2001:db8::1", 56324),
					.destination = address_of("2001:db8::2", 443) };
	return 0;
}

static void assert_hex(const char *expected)
{
	char text[2 * sizeof(bytes) + 1];

	for (size_t i = 0; i < length; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	assert_string_equal(text, expected);
}

static void from_hex(const char *hex)
{
	length = strlen(hex) / 2;
	for (size_t i = 0; i < length; i++) {
		const char digits[] = { hex[2 * i], hex[2 * i + 1], '\0' };

		bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
}

static void encode_v2(void)
{
	ssize_t written = proxy_v2_encode(&header, bytes, sizeof(bytes));

	assert_true(written > 0);
	length = (size_t)written;
}

/* Each shorter begin is one, and what stands behind is not looked at. */
static void assert_decodes(void)
{
	struct proxy_header read;

	for (size_t i = 0; i < length; i++) {
		uint8_t *exact = malloc(i + 1);

		memcpy(exact, bytes, i);
		assert_int_equal(proxy_header_decode(exact, i, &read), -EAGAIN);
		free(exact);
	}
	assert_int_equal(proxy_header_decode(bytes, length, &read), length);
	memset(bytes + length, 'x', 8);
	assert_int_equal(proxy_header_decode(bytes, length + 8, &read), length);
	assert_true(address_equal(&read.source, &header.source));
	assert_true(address_equal(&read.destination, &header.destination));
	assert_int_equal(read.is_local, header.is_local);
	assert_int_equal(read.protocol, header.protocol);
	assert_int_equal(read.has_crc32c, header.has_crc32c);
	assert_int_equal(read.unique_id_bytes, header.unique_id_bytes);
	assert_int_equal(read.authority_bytes, header.authority_bytes);
	if (header.unique_id)
		assert_memory_equal(read.unique_id, header.unique_id, header.unique_id_bytes);
}

static void v2_is_as_it_is_specified(void **state)
{
	(void)state;
	encode_v2();
	assert_hex(SIGNATURE "21210024" CLIENT SERVER PORTS);
	assert_decodes();

	header.protocol = PROTOCOL_UDP;
	header.destination.port = 53;
	encode_v2();
	assert_hex(SIGNATURE "21220024" CLIENT SERVER "dc040035");
	assert_decodes();

	setup(NULL);
	header.source = address_of("192.0.2.1", 56324);
	header.destination = address_of("198.51.100.2", 443);
	encode_v2();
	assert_hex(SIGNATURE "2111000cc0000201c6336402" PORTS);
	assert_decodes();
}

static void v2_has_its_tlvs(void **state)
{
	(void)state;
	header.has_crc32c = true;
	encode_v2();
	assert_hex(SIGNATURE "2121002b" CLIENT SERVER PORTS "03000495b3793a");
	assert_decodes();

	header.unique_id = (const uint8_t *)"deadbeef";
	header.unique_id_bytes = 8;
	encode_v2();
	assert_hex(SIGNATURE "21210036" CLIENT SERVER PORTS "030004df6dddd0"
			     "0500086465616462656566");
	assert_decodes();
	from_hex(SIGNATURE "21210036" CLIENT SERVER PORTS "0500086465616462656566"
			   "030004db64b8eb");
	assert_decodes();

	header.authority = (const uint8_t *)"example.org";
	header.authority_bytes = 11;
	encode_v2();
	assert_decodes();
}

static void v2_local_says_nothing_else(void **state)
{
	(void)state;
	header = (struct proxy_header){ .protocol = PROTOCOL_TCP, .is_local = true };
	encode_v2();
	assert_hex(SIGNATURE "20000000");
	assert_decodes();
	from_hex(SIGNATURE "207f0003ffffff");
	assert_decodes();
}

static void addresses_that_are_not_told_are_none(void **state)
{
	(void)state;
	header.source.family = AF_UNSPEC;
	encode_v2();
	assert_hex(SIGNATURE "21000000");
	setup(NULL);
	header.source = header.destination = (struct address){ .family = AF_UNSPEC };
	assert_decodes();
}

static void v4_beside_v6_is_mapped(void **state)
{
	(void)state;
	header.source = address_of("192.0.2.1", 56324);
	encode_v2();
	assert_hex(SIGNATURE "2121002400000000000000000000ffffc0000201" SERVER PORTS);
	assert_decodes();
	length = (size_t)proxy_v1_encode(&header, bytes, sizeof(bytes));
	bytes[length] = '\0';
	assert_string_equal((char *)bytes, "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 56324 443\r\n");
	assert_decodes();
}

static void v1_is_as_it_is_specified(void **state)
{
	(void)state;
	length = (size_t)proxy_v1_encode(&header, bytes, sizeof(bytes));
	bytes[length] = '\0';
	assert_string_equal((char *)bytes, "PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n");
	assert_int_equal(length, 46);
	assert_decodes();
	header.source.family = AF_UNSPEC;
	length = (size_t)proxy_v1_encode(&header, bytes, sizeof(bytes));
	bytes[length] = '\0';
	assert_string_equal((char *)bytes, "PROXY UNKNOWN\r\n");
}

static void v1_unknown_may_say_anything(void **state)
{
	struct proxy_header read;
	static const char text[] = "PROXY UNKNOWN ffff:f...f 65535 65535\r\n";

	(void)state;
	assert_int_equal(proxy_header_decode((const uint8_t *)text, strlen(text), &read),
			 strlen(text));
	assert_int_equal(read.source.family, AF_UNSPEC);
}

static void what_is_no_v1_is_refused(void **state)
{
	static const char *const bad[] = {
		"GET / HTTP/1.1\r\n",
		"PROXY\r\n",
		"PROXY \r\n",
		"PROXYTCP4 192.0.2.1 192.0.2.2 1 2\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
		"PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
		"PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
		"PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n",
		"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
		"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
		"PROXY TCP6 fe80::1%lo fe80::2 1 2\r\n",
		"PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
		"PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n",
		"PROXY UNKNOWNX\r\n",
		"PROXY TCP6 0000:0000:0000:0000:0000:0000:0000:0001 "
		"0000:0000:0000:0000:0000:0000:0000:00001 65535 65535\r\n",
		"PROXY UNKNOWN xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n",
	};
	struct proxy_header read;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_int_equal(proxy_header_decode((const uint8_t *)bad[i], strlen(bad[i]),
						     &read),
				 -EBADMSG);
}

static void what_is_no_v2_is_refused(void **state)
{
	static const char *const bad[] = {
		"0d0a0d0a000d0a515549540b21210024" CLIENT SERVER PORTS,	   /* signature */
		SIGNATURE "11210024" CLIENT SERVER PORTS,		   /* version */
		SIGNATURE "22210024" CLIENT SERVER PORTS,		   /* command */
		SIGNATURE "21410024" CLIENT SERVER PORTS,		   /* family */
		SIGNATURE "21230024" CLIENT SERVER PORTS,		   /* transport */
		SIGNATURE "21210023" CLIENT SERVER "dc0401",		   /* too short */
		SIGNATURE "21210025" CLIENT SERVER PORTS "03",		   /* TLV cut off */
		SIGNATURE "21210027" CLIENT SERVER PORTS "040001",	   /* the same */
		SIGNATURE "2121002b" CLIENT SERVER PORTS "03000495b3793b", /* checksum */
		SIGNATURE "2121002a" CLIENT SERVER PORTS "03000395b379",   /* of three bytes */
	};
	struct proxy_header read;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		from_hex(bad[i]);
		assert_int_equal(proxy_header_decode(bytes, length, &read), -EBADMSG);
	}
	from_hex(SIGNATURE "313300"
			   "00"); /* a unix socket in UNSPEC's place */
	assert_int_equal(proxy_header_decode(bytes, length, &read), -EBADMSG);
}

static void unknown_tlvs_are_passed_over(void **state)
{
	struct proxy_header read;

	(void)state;
	from_hex(SIGNATURE "21210031" CLIENT SERVER PORTS "ea0003010203"
			   "040000"
			   "20000101");
	assert_int_equal(proxy_header_decode(bytes, length, &read), length);
	assert_null(read.unique_id);
}

static void what_does_not_fit_is_not_written(void **state)
{
	(void)state;
	for (size_t room = 0; room < 52; room++)
		assert_int_equal(proxy_v2_encode(&header, bytes, room), -ENOBUFS);
	for (size_t room = 0; room < 46; room++)
		assert_int_equal(proxy_v1_encode(&header, bytes, room), -ENOBUFS);
	header.unique_id = bytes;
	header.unique_id_bytes = PROXY_UNIQUE_ID_MAX + 1;
	assert_int_equal(proxy_v2_encode(&header, bytes, sizeof(bytes)), -EINVAL);
	header.protocol = PROTOCOL_UDP;
	assert_int_equal(proxy_v1_encode(&header, bytes, sizeof(bytes)), -EINVAL);
}

static void largest_has_room(void **state)
{
	static const uint8_t many[PROXY_AUTHORITY_MAX];

	(void)state;
	header.authority = header.unique_id = many;
	header.authority_bytes = PROXY_AUTHORITY_MAX;
	header.unique_id_bytes = PROXY_UNIQUE_ID_MAX;
	header.has_crc32c = true;
	encode_v2();
	assert_int_equal(length, PROXY_HEADER_OUT_MAX);
	assert_decodes();
}

int main(void)
{
#define WITH_HEADER(test) cmocka_unit_test_setup(test, setup)
	const struct CMUnitTest tests[] = {
		WITH_HEADER(v2_is_as_it_is_specified),
		WITH_HEADER(v2_has_its_tlvs),
		WITH_HEADER(v2_local_says_nothing_else),
		WITH_HEADER(addresses_that_are_not_told_are_none),
		WITH_HEADER(v4_beside_v6_is_mapped),
		WITH_HEADER(v1_is_as_it_is_specified),
		WITH_HEADER(v1_unknown_may_say_anything),
		WITH_HEADER(what_is_no_v1_is_refused),
		WITH_HEADER(what_is_no_v2_is_refused),
		WITH_HEADER(unknown_tlvs_are_passed_over),
		WITH_HEADER(what_does_not_fit_is_not_written),
		WITH_HEADER(largest_has_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
