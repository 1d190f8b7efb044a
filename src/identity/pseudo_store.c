/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/pseudo_store.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define VERSION 1

/* Another process that looks into the database does not hold it for long. */
#define BUSY_TIMEOUT_MS 2000

enum statement {
	END_CURRENT,
	ADD,
	TOUCH,
	FORGET,
	EXPIRE,
	LOAD,
	FIND_PSEUDO,
	FIND_CLIENT,
	STATEMENTS
};

static const char *const texts[STATEMENTS] = {
	[END_CURRENT] = "UPDATE assignments SET current = 0 WHERE pseudo = ?1 AND current = 1",
	[ADD] = "INSERT OR REPLACE INTO assignments VALUES (?1, ?2, ?3, ?4, ?5, 1)",
	[TOUCH] = "UPDATE assignments SET last_seen = ?3 WHERE pseudo = ?1 AND since = ?2",
	[FORGET] = "DELETE FROM assignments WHERE pseudo = ?1 AND since = ?2",
	[EXPIRE] = "DELETE FROM assignments WHERE current = 0 AND last_seen < ?1",
	[LOAD] = "SELECT pseudo, since, last_seen, client, length, current FROM assignments "
		 "WHERE current = 1 ORDER BY last_seen",
	[FIND_PSEUDO] = "SELECT pseudo, since, last_seen, client, length, current FROM assignments "
			"WHERE pseudo = ?1 AND since <= ?2 ORDER BY since DESC LIMIT 1",
	/* what somebody else had by then is nobody's any more */
	[FIND_CLIENT] = "SELECT pseudo, since, last_seen, client, length, current FROM "
			"(SELECT * FROM assignments WHERE client = ?1 AND length = ?3 "
			"AND since <= ?2 ORDER BY since DESC LIMIT 1) AS found WHERE NOT EXISTS "
			"(SELECT 1 FROM assignments WHERE pseudo = found.pseudo "
			"AND since > found.since AND since <= ?2)",
};

/* Rows are short, and stand in the order of the key: without a row id they are stored once. */
static const char schema[] =
	"CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;"
	"CREATE TABLE assignments (pseudo INTEGER, since INTEGER, last_seen INTEGER, client BLOB,"
	" length INTEGER, current INTEGER, PRIMARY KEY (pseudo, since)) WITHOUT ROWID;"
	"CREATE INDEX by_client ON assignments (client, since);"
	"PRAGMA user_version = 1;";

/* For EXPIRE. Those in force are not in it, as it would change whenever one is seen. */
static const char ended_index[] =
	"CREATE INDEX IF NOT EXISTS ended ON assignments (last_seen) WHERE current = 0";

struct pseudo_store {
	sqlite3 *database;
	sqlite3_stmt *statements[STATEMENTS];
	char path[256];
};

static int failed(const struct pseudo_store *store, struct error *err)
{
	int code = sqlite3_errcode(store->database);
	const char *remedy = code == SQLITE_NOTADB || code == SQLITE_CORRUPT
				     ? ": move it away, and clients get addresses anew"
			     : code == SQLITE_FULL ? ": make room on the disk"
						   : "";

	return error_set(err, code == SQLITE_FULL ? -ENOSPC : -EIO, "%.150s: %.80s%s", store->path,
			 sqlite3_errmsg(store->database), remedy);
}

static int execute(struct pseudo_store *store, const char *text, struct error *err)
{
	if (sqlite3_exec(store->database, text, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	return failed(store, err);
}

/* The number that a statement answers with. */
static int query_number(struct pseudo_store *store, const char *text, int64_t *ret,
			struct error *err)
{
	sqlite3_stmt *statement = NULL;
	int r = -EIO;

	if (sqlite3_prepare_v2(store->database, text, -1, &statement, NULL) == SQLITE_OK &&
	    sqlite3_step(statement) == SQLITE_ROW) {
		*ret = sqlite3_column_int64(statement, 0);
		r = 0;
	}
	if (r < 0)
		r = failed(store, err);
	sqlite3_finalize(statement);
	return r;
}

static int make_schema(struct pseudo_store *store, struct error *err)
{
	struct siphash_key key;
	sqlite3_stmt *statement = NULL;
	int r = siphash_key_init(&key);

	if (r < 0)
		return error_set(err, r, "getrandom: %s", error_name(r));
	r = execute(store, "BEGIN IMMEDIATE", err);
	if (r == 0)
		r = execute(store, schema, err);
	if (r == 0 &&
	    (sqlite3_prepare_v2(store->database, "INSERT INTO meta VALUES ('key', ?1)", -1,
				&statement, NULL) != SQLITE_OK ||
	     sqlite3_bind_blob(statement, 1, &key, sizeof(key), SQLITE_STATIC) != SQLITE_OK ||
	     sqlite3_step(statement) != SQLITE_DONE))
		r = failed(store, err);
	sqlite3_finalize(statement);
	return r == 0 ? execute(store, "COMMIT", err) : r;
}

static int check_version(struct pseudo_store *store, struct error *err)
{
	int64_t version = 0, tables = 0;
	int r = query_number(store, "PRAGMA user_version", &version, err);

	if (r == 0)
		r = query_number(store, "SELECT count(*) FROM sqlite_master", &tables, err);
	if (r < 0)
		return r;
	if (version == 0 && tables == 0)
		return make_schema(store, err);
	if (version == VERSION)
		return 0;
	return error_set(
		err, -EINVAL,
		"%.150s is of another version (%lld), or no store of pseudo-IPv4 addresses: "
		"move it away",
		store->path, (long long)version);
}

static int prepare(struct pseudo_store *store, struct error *err)
{
	for (int i = 0; i < STATEMENTS; i++)
		if (sqlite3_prepare_v3(store->database, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
				       &store->statements[i], NULL) != SQLITE_OK)
			return failed(store, err);
	return 0;
}

static int open_database(struct pseudo_store *store, struct error *err)
{
	int r;

	if (sqlite3_open_v2(store->path, &store->database,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK)
		return failed(store, err);
	/* it has addresses of people in it */
	(void)chmod(store->path, 0600);
	(void)sqlite3_busy_timeout(store->database, BUSY_TIMEOUT_MS);
	/* a commit survives this process; the last ones before a power cut may be lost */
	r = execute(store,
		    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
		    "PRAGMA wal_autocheckpoint = 500; PRAGMA journal_size_limit = 4194304;",
		    err);
	if (r == 0)
		r = check_version(store, err);
	if (r == 0)
		r = execute(store, ended_index, err);
	return r == 0 ? prepare(store, err) : r;
}

struct pseudo_store *pseudo_store_open(const char *path, struct error *err)
{
	struct pseudo_store *store = calloc(1, sizeof(*store));

	if (!store) {
		error_set(err, -ENOMEM, "no memory for the store of pseudo-IPv4 addresses");
		return NULL;
	}
	(void)snprintf(store->path, sizeof(store->path), "%s", path);
	if (open_database(store, err) == 0)
		return store;
	pseudo_store_close(store);
	return NULL;
}

void pseudo_store_close(struct pseudo_store *store)
{
	for (int i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(store->statements[i]);
	sqlite3_close(store->database);
	free(store);
}

int pseudo_store_key(struct pseudo_store *store, struct siphash_key *ret, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	int r = -EINVAL;

	if (sqlite3_prepare_v2(store->database, "SELECT value FROM meta WHERE name = 'key'", -1,
			       &statement, NULL) == SQLITE_OK &&
	    sqlite3_step(statement) == SQLITE_ROW &&
	    sqlite3_column_bytes(statement, 0) == sizeof(*ret)) {
		memcpy(ret, sqlite3_column_blob(statement, 0), sizeof(*ret));
		r = 0;
	}
	sqlite3_finalize(statement);
	if (r < 0)
		(void)error_set(err, r, "%.150s has no key: move it away", store->path);
	return r;
}

/* Statements. */

static bool is_row_sound(sqlite3_stmt *row)
{
	return sqlite3_column_bytes(row, 3) == 16 && sqlite3_column_int64(row, 4) <= 128;
}

static void read_row(sqlite3_stmt *row, struct pseudo_record *ret)
{
	*ret = (struct pseudo_record){
		.pseudo = (uint32_t)sqlite3_column_int64(row, 0),
		.since_ms = (uint64_t)sqlite3_column_int64(row, 1),
		.last_seen_ms = (uint64_t)sqlite3_column_int64(row, 2),
		.length = (uint8_t)sqlite3_column_int64(row, 4),
	};
	memcpy(ret->client, sqlite3_column_blob(row, 3), 16);
}

/* Runs one that answers nothing, and has been bound. */
static int run(struct pseudo_store *store, enum statement which, struct error *err)
{
	sqlite3_stmt *statement = store->statements[which];
	int code = sqlite3_step(statement), r = 0;

	if (code != SQLITE_DONE)
		r = failed(store, err);
	(void)sqlite3_reset(statement);
	return r;
}

static void bind_key(sqlite3_stmt *statement, const struct pseudo_record *record)
{
	(void)sqlite3_bind_int64(statement, 1, record->pseudo);
	(void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)record->since_ms);
}

static int add_one(struct pseudo_store *store, const struct pseudo_record *record,
		   struct error *err)
{
	sqlite3_stmt *add = store->statements[ADD];
	int r;

	(void)sqlite3_bind_int64(store->statements[END_CURRENT], 1, record->pseudo);
	r = run(store, END_CURRENT, err);
	if (r < 0)
		return r;
	bind_key(add, record);
	(void)sqlite3_bind_int64(add, 3, (sqlite3_int64)record->last_seen_ms);
	(void)sqlite3_bind_blob(add, 4, record->client, sizeof(record->client), SQLITE_STATIC);
	(void)sqlite3_bind_int64(add, 5, record->length);
	return run(store, ADD, err);
}

static int touch_one(struct pseudo_store *store, const struct pseudo_record *record,
		     struct error *err)
{
	sqlite3_stmt *touch = store->statements[TOUCH];

	bind_key(touch, record);
	(void)sqlite3_bind_int64(touch, 3, (sqlite3_int64)record->last_seen_ms);
	return run(store, TOUCH, err);
}

static int forget_one(struct pseudo_store *store, const struct pseudo_record *record,
		      struct error *err)
{
	bind_key(store->statements[FORGET], record);
	return run(store, FORGET, err);
}

/* For each of them, in one transaction. */
static int for_each(struct pseudo_store *store, const struct pseudo_record *records, size_t count,
		    int (*one)(struct pseudo_store *, const struct pseudo_record *, struct error *),
		    struct error *err)
{
	struct error ignored;
	int r = execute(store, "BEGIN IMMEDIATE", err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < count && r == 0; i++)
		r = one(store, &records[i], err);
	if (r == 0)
		r = execute(store, "COMMIT", err);
	if (r < 0)
		(void)execute(store, "ROLLBACK", &ignored);
	return r;
}

int pseudo_store_add(struct pseudo_store *store, const struct pseudo_record *records, size_t count,
		     struct error *err)
{
	return for_each(store, records, count, add_one, err);
}

int pseudo_store_touch(struct pseudo_store *store, const struct pseudo_record *records,
		       size_t count, struct error *err)
{
	return for_each(store, records, count, touch_one, err);
}

int pseudo_store_forget(struct pseudo_store *store, const struct pseudo_record *records,
			size_t count, struct error *err)
{
	return for_each(store, records, count, forget_one, err);
}

int pseudo_store_expire(struct pseudo_store *store, uint64_t before_ms, struct error *err)
{
	(void)sqlite3_bind_int64(store->statements[EXPIRE], 1, (sqlite3_int64)before_ms);
	return run(store, EXPIRE, err);
}

static int end_one(struct pseudo_store *store, const struct pseudo_record *record,
		   struct error *err)
{
	(void)sqlite3_bind_int64(store->statements[END_CURRENT], 1, record->pseudo);
	return run(store, END_CURRENT, err);
}

int pseudo_store_load(struct pseudo_store *store,
		      bool (*take)(void *context, const struct pseudo_record *record),
		      void *context, struct error *err)
{
	sqlite3_stmt *load = store->statements[LOAD];
	struct pseudo_record *ended = NULL;
	size_t count = 0, room = 0;
	int code, r = 0;

	while (r == 0 && (code = sqlite3_step(load)) == SQLITE_ROW) {
		struct pseudo_record record;

		if (!is_row_sound(load))
			continue;
		read_row(load, &record);
		if (take(context, &record))
			continue;
		if (count == room) {
			struct pseudo_record *more;

			room = room > 0 ? 2 * room : 64;
			more = reallocarray(ended, room, sizeof(*ended));
			if (!more) {
				r = error_set(err, -ENOMEM, "no memory to read %.150s",
					      store->path);
				break;
			}
			ended = more;
		}
		ended[count++] = record;
	}
	if (r == 0 && code != SQLITE_DONE)
		r = failed(store, err);
	(void)sqlite3_reset(load);
	if (r == 0 && count > 0)
		r = for_each(store, ended, count, end_one, err);
	free(ended);
	return r;
}

/* The answer of a statement that was bound. */
static int find_row(struct pseudo_store *store, enum statement which, struct pseudo_record *ret,
		    bool *ret_is_current, struct error *err)
{
	sqlite3_stmt *find = store->statements[which];
	int code = sqlite3_step(find), r = 0;

	if (code == SQLITE_ROW && is_row_sound(find)) {
		read_row(find, ret);
		*ret_is_current = sqlite3_column_int64(find, 5) == 1;
	} else if (code == SQLITE_DONE || code == SQLITE_ROW) {
		r = -ENOENT;
	} else {
		r = failed(store, err);
	}
	(void)sqlite3_reset(find);
	return r;
}

static int find_pseudo(struct pseudo_store *store, uint64_t at_ms, struct pseudo_record *ret,
		       bool *ret_is_current, struct error *err)
{
	sqlite3_stmt *find = store->statements[FIND_PSEUDO];

	(void)sqlite3_bind_int64(find, 1, ret->pseudo);
	(void)sqlite3_bind_int64(find, 2, (sqlite3_int64)at_ms);
	return find_row(store, FIND_PSEUDO, ret, ret_is_current, err);
}

static int find_client(struct pseudo_store *store, uint64_t at_ms, struct pseudo_record *ret,
		       bool *ret_is_current, struct error *err)
{
	sqlite3_stmt *find = store->statements[FIND_CLIENT];

	(void)sqlite3_bind_blob(find, 1, ret->client, sizeof(ret->client), SQLITE_TRANSIENT);
	(void)sqlite3_bind_int64(find, 2, (sqlite3_int64)at_ms);
	(void)sqlite3_bind_int64(find, 3, ret->length);
	return find_row(store, FIND_CLIENT, ret, ret_is_current, err);
}

int pseudo_store_find(struct pseudo_store *store, uint64_t at_ms, struct pseudo_record *ret,
		      bool *ret_is_current, struct error *err)
{
	struct pseudo_record latest = { .since_ms = 0 }, wanted = *ret;
	bool is_found = false;

	if (ret->pseudo != 0)
		return find_pseudo(store, at_ms, ret, ret_is_current, err);
	for (uint8_t length = 128; length > 0; length--) {
		struct pseudo_record record;
		bool is_current = false;
		int r;

		pseudo_record_cut(&wanted, length);
		record = wanted;
		r = find_client(store, at_ms, &record, &is_current, err);
		if (r < 0 && r != -ENOENT)
			return r;
		if (r < 0 || (is_found && record.since_ms <= latest.since_ms))
			continue;
		is_found = true;
		latest = record;
		*ret_is_current = is_current;
	}
	if (is_found)
		*ret = latest;
	return is_found ? 0 : -ENOENT;
}
