/* What the thread has to say, for TypeScript to collect. */
#include "state.h"

size_t connection_tell(struct connection *c, void *room, size_t length) {
  pthread_mutex_lock(&c->news_lock);
  size_t told = bytes_length(&c->news.taken);
  if (told > length) told = 0;
  if (told > 0) memcpy(room, bytes_first(&c->news.taken), told);
  bytes_drop(&c->news.taken, told);
  bytes_rest(&c->news.taken, KEPT_BYTES_MAX);
  pthread_mutex_unlock(&c->news_lock);
  return told;
}

void connection_collect(struct connection *c, struct news *news) {
  atomic_store(&c->is_told, false);
  pthread_mutex_lock(&c->news_lock);
  *news = c->news;
  memset(&c->news, 0, sizeof c->news);
  /* Memory for what will be taken stays. */
  if (bytes_length(&news->taken) == 0) {
    c->news.taken = news->taken;
    memset(&news->taken, 0, sizeof news->taken);
  }
  pthread_mutex_unlock(&c->news_lock);
  pthread_mutex_lock(&c->network_lock);
  news->sent_bytes = c->sent_bytes;
  c->sent_bytes = 0;
  pthread_mutex_unlock(&c->network_lock);
  if (bytes_length(&news->passed) >= UNREAD_BYTES_MAX || bytes_length(&news->taken) >= UNREAD_BYTES_MAX) wake_thread(c);
}

bool connection_peer(struct connection *c, unsigned char **der, size_t *length) {
  *der = NULL;
  *length = 0;
  if (c->tls == NULL) return false;
  pthread_mutex_lock(&c->network_lock);
  *length = tls_peer(c->tls, der);
  bool is_verified = tls_is_verified(c->tls);
  pthread_mutex_unlock(&c->network_lock);
  return is_verified;
}
