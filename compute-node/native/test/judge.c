/*
 * What may be let go of, by the shim's own decisions. Reads lines, answers each with one:
 *   chunk SETTLED RUNNING WRITTEN NEWEST RESIDENT RESIDENT KEPT KEPT   →  goes | kept | undurable | running
 *   page LSN SPECIAL SEQUENCE_MAGIC LAST_WORD FILL                     →  kept | given back
 */
#define _GNU_SOURCE
#include "../chunks.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct shared_state *shared;

bool is_zero(const char *page)
{
    for (int i = 0; i < BLOCK_BYTES; i++)
        if (page[i] != 0)
            return false;
    return true;
}

static const char *const VERDICTS[] = {
    [CHUNK_GOES] = "goes", [CHUNK_IS_KEPT] = "kept", [CHUNK_IS_UNDURABLE] = "undurable", [CHUNK_IS_RUNNING] = "running"};

int main(void)
{
    char line[512];
    while (fgets(line, sizeof line, stdin) != NULL) {
        struct chunk chunk = {0};
        struct horizon horizon;
        uint64_t lsn;
        unsigned special, magic, last, fill;
        if (sscanf(line, "chunk %" SCNu32 " %" SCNu64 " %" SCNu32 " %" SCNu64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64,
                   &horizon.settled_epoch, &horizon.running_lsn, &chunk.written_epoch, &chunk.newest_lsn, &chunk.resident.bits[0],
                   &chunk.resident.bits[1], &chunk.kept.bits[0], &chunk.kept.bits[1]) == 8) {
            puts(VERDICTS[judge_chunk(&chunk, &horizon)]);
        } else if (sscanf(line, "page %" SCNu64 " %u %u %u %u", &lsn, &special, &magic, &last, &fill) == 5) {
            static char page[BLOCK_BYTES];
            uint32_t halves[2] = {(uint32_t)(lsn >> 32), (uint32_t)lsn};
            uint16_t special16 = (uint16_t)special, last16 = (uint16_t)last;
            uint32_t magic32 = magic;
            memset(page, 0, sizeof page);
            page[4000] = (char)fill;
            memcpy(page, halves, sizeof halves);
            memcpy(page + 16, &special16, sizeof special16);
            memcpy(page + 8184, &magic32, sizeof magic32);
            if (last16 != 0)
                memcpy(page + BLOCK_BYTES - 2, &last16, sizeof last16);
            puts(keeps_page(page) ? "kept" : "given back");
        } else {
            return 1;
        }
    }
    return 0;
}
