/*
 * Bytes between the shim and the agent over a Unix socket; little-endian, as the host (x86-64, aarch64).
 * The table with every field's meaning stands in compute-node/src/postgres/shim-protocol.ts; the two change together.
 */
#ifndef AURORA_SHIM_PROTOCOL_H
#define AURORA_SHIM_PROTOCOL_H

#include <stdint.h>

#define SHIM_REQUEST_MAGIC 0x51525341u  /* "ASRQ" */
#define SHIM_RESPONSE_MAGIC 0x53525341u /* "ASRS" */
#define SHIM_MAX_BLOCKS 128
/* What comes along with pages that were asked for begins at most so many blocks past them, and ends there. */
#define SHIM_ALONG_WITHIN 512

enum shim_operation { SHIM_FLUSH = 1, SHIM_READ_PAGES = 2, SHIM_EXPECT_PAGES = 3, SHIM_WROTE = 4 };
enum shim_status { SHIM_OK = 0, SHIM_FENCED = 1, SHIM_FAILED = 2, SHIM_DAMAGED = 3, SHIM_STOPPED = 4, SHIM_SENT = 5 };

struct shim_request {
    uint32_t magic;
    uint8_t operation;
    uint8_t fork;
    uint16_t count;
    uint64_t token;
    uint32_t id;
    uint32_t spc_oid;
    uint32_t db_oid;
    uint32_t rel_number;
    uint32_t block;
    uint32_t room; /* of a read: blocks that may come along */
    uint64_t lsn;
    union {
        uint64_t dirty_lsn; /* of a flush */
        uint64_t holes_lsn; /* of a read */
    };
};
_Static_assert(sizeof(struct shim_request) == 56, "wire layout");

struct shim_response {
    uint32_t magic;
    uint32_t id;
    uint32_t status;
    uint32_t payload_bytes;
    union {
        uint64_t flushed_lsn; /* of a flush */
        struct {
            uint32_t block, count;
        } along; /* of a read */
    };
    uint64_t running_lsn;
};
_Static_assert(sizeof(struct shim_response) == 32, "wire layout");

#endif
