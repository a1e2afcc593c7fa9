/* Start the stand-in's network, a Python script, and carry words to it and back. */
#define _GNU_SOURCE
#include "standin.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct _Standin {
  GPid pid;
  int sock;
  GThread *thread;
  GMutex lock;
  GCond changed;
  gboolean ready, failed, stopped;
  gchar *why;
  guint64 view_duration, view_size;
  StandinCalls calls;
  gpointer data;
};

static void
put (Standin *self, char kind, guint64 pts, const void *bytes, gsize size)
{
  guint8 head[13];
  head[0] = kind;
  for (int i = 0; i < 8; i++)
    head[1 + i] = pts >> (8 * (7 - i));
  for (int i = 0; i < 4; i++)
    head[9 + i] = size >> (8 * (3 - i));
  g_mutex_lock (&self->lock);
  for (int part = 0; part < 2; part++) {
    const guint8 *at = part ? bytes : head;
    gsize left = part ? size : sizeof head;
    while (left > 0) {
      ssize_t sent = send (self->sock, at, left, MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR)
        continue;
      if (sent <= 0)
        break;
      at += sent;
      left -= sent;
    }
  }
  g_mutex_unlock (&self->lock);
}

static void
hear (Standin *self, const char *line)
{
  guint kind, result, status, fatal;
  guint64 timecode, duration, size;
  char number[129] = "";

  if (sscanf (line, "ACK %u %" G_GUINT64_FORMAT " %u %128s", &kind, &timecode, &result, number) >= 3) {
    self->calls.on_ack (self->data, kind, timecode, result, number);
    return;
  }
  if (sscanf (line, "STATUS %u %u", &status, &fatal) == 2) {
    self->calls.on_status (self->data, status, fatal);
    return;
  }
  g_mutex_lock (&self->lock);
  if (sscanf (line, "VIEW %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT, &duration, &size) == 2) {
    self->view_duration = duration;
    self->view_size = size;
  } else if (g_str_has_prefix (line, "READY")) {
    self->ready = TRUE;
  } else if (g_str_has_prefix (line, "FAILED ")) {
    self->failed = TRUE;
    g_free (self->why);
    self->why = g_strchomp (g_strdup (line + 7));
  } else if (g_str_has_prefix (line, "STOPPED")) {
    self->stopped = TRUE;
  }
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->lock);
}

static gpointer
run (gpointer data)
{
  Standin *self = data;
  FILE *file = fdopen (dup (self->sock), "r");
  char line[2048];

  while (file != NULL && fgets (line, sizeof line, file) != NULL)
    hear (self, line);
  if (file != NULL)
    fclose (file);
  g_mutex_lock (&self->lock);
  self->failed = self->stopped = TRUE;
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->lock);
  return NULL;
}

static void
keep_open (gpointer data)
{
  dup2 (GPOINTER_TO_INT (data), 3);
}

Standin *
standin_start (const gchar *settings, const StandinCalls *calls, gpointer data, gchar **why)
{
  gchar *argv[] = { PYTHON, NETWORK, NULL };
  GError *error = NULL;
  int ends[2];
  Standin *self = g_new0 (Standin, 1);

  g_mutex_init (&self->lock);
  g_cond_init (&self->changed);
  self->calls = *calls;
  self->data = data;
  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    g_error ("socketpair");
  self->sock = ends[0];
  if (!g_spawn_async (NULL, argv, NULL,
          G_SPAWN_LEAVE_DESCRIPTORS_OPEN | G_SPAWN_DO_NOT_REAP_CHILD, keep_open,
          GINT_TO_POINTER (ends[1]), &self->pid, &error)) {
    *why = g_strdup (error->message);
    g_error_free (error);
    close (ends[1]);
    standin_free (self);
    return NULL;
  }
  close (ends[1]);
  self->thread = g_thread_new ("standin", run, self);
  put (self, 'S', 0, settings, strlen (settings));
  g_mutex_lock (&self->lock);
  while (!self->ready && !self->failed)
    g_cond_wait (&self->changed, &self->lock);
  if (!self->ready)
    *why = g_strdup (self->why ? self->why : "the network process has ended");
  g_mutex_unlock (&self->lock);
  if (*why != NULL) {
    standin_free (self);
    return NULL;
  }
  return self;
}

void
standin_codec (Standin *self, const guint8 *bytes, gsize size)
{
  put (self, 'C', 0, bytes, size);
}

void
standin_frame (Standin *self, guint64 pts, gboolean key, const guint8 *bytes, gsize size)
{
  put (self, key ? 'K' : 'D', pts, bytes, size);
}

gboolean
standin_stop (Standin *self, guint seconds)
{
  gint64 end = g_get_monotonic_time () + (gint64) seconds * G_USEC_PER_SEC;
  gboolean in_time = TRUE;

  put (self, 'E', 0, NULL, 0);
  g_mutex_lock (&self->lock);
  while (!self->stopped && in_time)
    in_time = g_cond_wait_until (&self->changed, &self->lock, end);
  g_mutex_unlock (&self->lock);
  return in_time;
}

void
standin_view (Standin *self, guint64 *duration, guint64 *size)
{
  g_mutex_lock (&self->lock);
  *duration = self->view_duration;
  *size = self->view_size;
  g_mutex_unlock (&self->lock);
}

void
standin_free (Standin *self)
{
  shutdown (self->sock, SHUT_RDWR);
  if (self->thread != NULL)
    g_thread_join (self->thread);
  if (self->pid != 0) {
    kill (self->pid, SIGKILL);
    waitpid (self->pid, NULL, 0);
  }
  close (self->sock);
  g_free (self->why);
  g_free (self);
}
