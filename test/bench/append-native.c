/*
 * append-native FILE: what append-wire.ts compares a daemon's append loop with: the same work without Node. Reads batches,
 * each behind its length, from one connection; checks a CRC32C over them, writes them to FILE, which is filled ahead,
 * syncs once for all that came together, and sends 24 bytes for each. Prints its port as a line of JSON; for each line on its
 * standard input, the processor time that it has used.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <nmmintrin.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MIB = 1024 * 1024, LOG_BYTES = 64 * MIB, ACKNOWLEDGEMENT_BYTES = 24, LENGTH_BYTES = 4 };

static unsigned char received[2 * MIB];

static void require(int holds, const char *what) {
  if (holds) return;
  perror(what);
  exit(1);
}

static uint32_t crc32c(const unsigned char *bytes, size_t count) {
  uint64_t crc = UINT32_MAX;
  for (; count >= 8; count -= 8, bytes += 8) {
    uint64_t word;
    memcpy(&word, bytes, 8);
    crc = _mm_crc32_u64(crc, word);
  }
  for (; count > 0; count--, bytes++) crc = _mm_crc32_u8((uint32_t)crc, *bytes);
  return ~(uint32_t)crc;
}

static int open_log(const char *path) {
  int log = open(path, O_RDWR | O_CREAT, 0600);
  require(log >= 0, path);
  for (int filled = 0; filled < LOG_BYTES; filled += MIB) require(write(log, received, MIB) == MIB, "write");
  require(fdatasync(log) == 0, "fdatasync");
  return log;
}

static int accept_one(void) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof at;
  int one = 1;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  require(listener >= 0 && bind(listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(listener, 1) == 0, "listen");
  require(getsockname(listener, (struct sockaddr *)&at, &size) == 0, "getsockname");
  printf("{\"port\":0,\"framesPort\":%d}\n", ntohs(at.sin_port));
  fflush(stdout);
  int connection = accept(listener, NULL, NULL);
  require(connection >= 0 && setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0, "accept");
  return connection;
}

static void print_usage(void) {
  struct rusage used;
  require(getrusage(RUSAGE_SELF, &used) == 0, "getrusage");
  long seconds = used.ru_utime.tv_sec + used.ru_stime.tv_sec;
  printf("{\"microseconds\":%ld}\n", seconds * 1000000 + used.ru_utime.tv_usec + used.ru_stime.tv_usec);
  fflush(stdout);
}

int main(int count, char **arguments) {
  require(count == 2, "append-native FILE");
  int log = open_log(arguments[1]);
  int connection = accept_one();
  size_t kept = 0;
  off_t end = 0;
  struct pollfd ready[] = {{.fd = connection, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
  while (poll(ready, 2, -1) > 0) {
    if (ready[1].revents != 0) {
      char line[64];
      if (read(STDIN_FILENO, line, sizeof line) <= 0) return 0;
      print_usage();
    }
    if (ready[0].revents == 0) continue;
    ssize_t got = recv(connection, received + kept, sizeof received - kept, 0);
    if (got <= 0) return 0;
    kept += (size_t)got;
    size_t at = 0;
    unsigned char acknowledgements[64 * ACKNOWLEDGEMENT_BYTES] = {0};
    size_t batches = 0;
    while (kept - at >= LENGTH_BYTES && batches < 64) {
      uint32_t bytes;
      memcpy(&bytes, received + at, LENGTH_BYTES);
      if (kept - at - LENGTH_BYTES < bytes) break;
      uint32_t crc = crc32c(received + at + LENGTH_BYTES, bytes);
      memcpy(acknowledgements + batches * ACKNOWLEDGEMENT_BYTES, &crc, sizeof crc);
      if (end + bytes > LOG_BYTES) end = 0;
      require(pwrite(log, received + at + LENGTH_BYTES, bytes, end) == (ssize_t)bytes, "pwrite");
      end += bytes;
      at += LENGTH_BYTES + bytes;
      batches++;
    }
    if (batches == 0) continue;
    require(fdatasync(log) == 0, "fdatasync");
    size_t answer = batches * ACKNOWLEDGEMENT_BYTES;
    require(send(connection, acknowledgements, answer, 0) == (ssize_t)answer, "send");
    memmove(received, received + at, kept - at);
    kept -= at;
  }
  return 0;
}
