/*
 * How the sanitizers run when the shim is tested under them; comes before their runtime, whose own defaults would win
 * else (and which would complain that something does). Relative paths are looked up when there is something to report:
 * by then PostgreSQL is in its data directory. Leaks are PostgreSQL's own business: its processes end without freeing
 * what they hold.
 */
#define OPTION __attribute__((visibility("default"), used))

OPTION const char *__asan_default_options(void)
{
    return "verify_asan_link_order=0:detect_leaks=0:abort_on_error=1:log_path=sanitizer";
}

OPTION const char *__ubsan_default_options(void)
{
    return "print_stacktrace=1:abort_on_error=1:log_path=sanitizer";
}
