/*
 * Prints how the shim classifies each path it is given: `other`, `wal LSN`, or `relation SPC DB REL FORK FIRST_BLOCK`.
 */
#define _GNU_SOURCE
#include "../shim.h"

#include <stdio.h>

struct shared_state *shared;

int main(int count, char **paths)
{
    for (int i = 1; i < count; i++) {
        struct file_entry e = classify_path(paths[i]);
        if (e.kind == FILE_WAL)
            printf("wal %llx\n", (unsigned long long)e.wal_base);
        else if (e.kind == FILE_RELATION)
            printf("relation %u %u %u %u %u\n", e.spc_oid, e.db_oid, e.rel_number, e.fork, e.first_block);
        else
            printf("other\n");
    }
    return 0;
}
