/* What the stand-in of kvssink and its network say to each other. */
#ifndef STANDIN_H
#define STANDIN_H

#include <glib.h>

typedef struct _Standin Standin;

typedef struct {
  /* ACK kind timecode result number */
  void (*on_ack) (gpointer data, guint kind, guint64 timecode, guint result, const gchar *number);
  /* STATUS number fatal */
  void (*on_status) (gpointer data, guint status, gboolean fatal);
} StandinCalls;

/* Start the network process and block until the stream is ready; otherwise say why it is not. */
Standin *standin_start (const gchar *settings, const StandinCalls *calls, gpointer data, gchar **why);
void standin_codec (Standin *self, const guint8 *bytes, gsize size);
void standin_frame (Standin *self, guint64 pts, gboolean key, const guint8 *bytes, gsize size);
/* Block until everything is persisted, or so many seconds. */
gboolean standin_stop (Standin *self, guint seconds);
void standin_view (Standin *self, guint64 *duration, guint64 *size);
void standin_free (Standin *self);

#endif
