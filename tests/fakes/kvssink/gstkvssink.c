/*
 * A stand-in for AWS's kvssink: its properties, pads and signals, and what it was
 * seen to do with buffers and states. Its network is a process of its own.
 */
#include <gst/base/gstcollectpads.h>
#include <gst/gst.h>
#include <string.h>
#include "standin.h"

typedef struct {
  guint32 version;
  int kind;
  guint64 timestamp;
  char number[129];
  guint32 result;
} FragmentAck;

/* The head of StreamMetrics, and room for what follows in a KvsSinkMetric. */
typedef struct {
  guint32 version;
  guint64 current_duration, overall_duration, current_size, overall_size;
  double frame_rate;
  guint64 transfer_rate;
  guint64 more[64];
} Metric;

enum { BOOLEAN, UINT, TEXT, STRUCTURE, ENUM, UINT64 };


static const struct {
  const char *name, *blurb;
  int type;
  const char *text;
  guint number;
} PROPERTIES[] = {
  {"stream-name", "Name of the destination stream", TEXT, "DEFAULT_STREAM"},
  {"user-agent", "Name of the user agent", TEXT, "AWS-SDK-KVS-CPP-CLIENT/3.6.0"},
  {"retention-period", "Length of time stream is preserved. Unit: hours", UINT, NULL, 2},
  {"streaming-type", "Streaming type", ENUM, NULL, 0},
  {"content-type", "content type", TEXT, NULL},
  {"max-latency", "Max Latency. Unit: seconds", UINT, NULL, 60},
  {"fragment-duration", "Fragment Duration. Unit: miliseconds", UINT, NULL, 2000},
  {"timecode-scale", "Timecode Scale. Unit: milliseconds", UINT, NULL, 1},
  {"key-frame-fragmentation", "If true, generate new fragment on each keyframe, otherwise generate new fragment on first keyframe after fragment-duration has passed.", BOOLEAN, NULL, 1},
  {"frame-timecodes", "Do frame timecodes", BOOLEAN, NULL, 1},
  {"absolute-fragment-times", "Use absolute fragment time", BOOLEAN, NULL, 1},
  {"fragment-acks", "Do fragment acks", BOOLEAN, NULL, 1},
  {"restart-on-error", "Do restart on error", BOOLEAN, NULL, 1},
  {"recalculate-metrics", "Do recalculate metrics", BOOLEAN, NULL, 1},
  {"framerate", "Framerate", UINT, NULL, 25},
  {"avg-bandwidth-bps", "Average bandwidth bps", UINT, NULL, 4194304},
  {"buffer-duration", "Buffer duration. Unit: seconds", UINT, NULL, 120},
  {"replay-duration", "Replay duration. Unit: seconds", UINT, NULL, 40},
  {"connection-staleness", "Connection staleness. Unit: seconds", UINT, NULL, 60},
  {"codec-id", "Codec ID", TEXT, "V_MPEG4/ISO/AVC"},
  {"track-name", "Track name", TEXT, "kinesis_video"},
  {"access-key", "AWS Access Key", TEXT, "access_key"},
  {"secret-key", "AWS Secret Key", TEXT, "secret_key"},
  {"session-token", "AWS Session token", TEXT, "session_token"},
  {"aws-region", "AWS Region", TEXT, "us-west-2"},
  {"rotation-period", "Rotation Period. Unit: seconds", UINT, NULL, 3600},
  {"log-config", "Log Configuration Path", TEXT, "../kvs_log_configuration"},
  {"storage-size", "Storage Size. Unit: MB", UINT, NULL, 128},
  {"stop-stream-timeout", "Stop stream timeout: seconds", UINT, NULL, 120},
  {"connection-timeout", "Service call connection timeout: seconds", UINT, NULL, 5},
  {"completion-timeout", "Service call completion timeout: seconds. Should be more than connection timeout. If it isnt, SDK will override with defaults", UINT, NULL, 10},
  {"credential-path", "Credential File Path", TEXT, ".kvs/credential"},
  {"iot-certificate", "Use aws iot certificate to obtain credentials", STRUCTURE},
  {"stream-tags", "key-value pair that you can define and assign to each stream", STRUCTURE},
  {"file-start-time", "Epoch time that the file starts in kinesis video stream. By default, current time is used. Unit: Seconds", UINT64},
  {"disable-buffer-clipping", "Set to true only if your src/mux elements produce GST_CLOCK_TIME_NONE for segment start times.  It is non-standard behavior to set this to true, only use if there are known issues with your src/mux segment start/stop times.", BOOLEAN, NULL, 0},
  {"use-original-pts", "Set to true only if you want to use the original presentation time stamp on the buffer and that timestamp is expected to be a valid epoch value in nanoseconds. Most encoders will not have a valid PTS", BOOLEAN, NULL, 0},
  {"get-kvs-metrics", "Set to true if you want to read on the producer streamMetrics and clientMetrics object every key frame. Disabled by default", BOOLEAN, NULL, 0},
  {"allow-create-stream", "Set to true if allowing create stream call, false otherwise", BOOLEAN, NULL, 1},
};

#define COUNT G_N_ELEMENTS (PROPERTIES)

typedef struct {
  GstElement element;
  GstCollectPads *collect;
  GValue values[COUNT];
  guint videos, audios;
  Standin *network;
  gboolean has_codec, stopped;
  gint fatal_status;
  guint64 last_dts, first_pts, start_time;
} GstKvsSink;

typedef struct {
  GstElementClass parent_class;
} GstKvsSinkClass;

G_DEFINE_TYPE (GstKvsSink, gst_kvs_sink, GST_TYPE_ELEMENT)

static guint error_signal, ack_signal, metric_signal;

static GstStaticPadTemplate audio_template = GST_STATIC_PAD_TEMPLATE ("audio_%u", GST_PAD_SINK, GST_PAD_REQUEST,
    GST_STATIC_CAPS ("audio/mpeg, mpegversion = (int) { 2, 4 }, stream-format = (string) raw, "
        "channels = (int) [ 1, MAX ], rate = (int) [ 1, MAX ]; "
        "audio/x-alaw, channels = (int) { 1, 2 }, rate = (int) [ 8000, 192000 ]; "
        "audio/x-mulaw, channels = (int) { 1, 2 }, rate = (int) [ 8000, 192000 ]"));

static GstStaticPadTemplate video_template = GST_STATIC_PAD_TEMPLATE ("video_%u", GST_PAD_SINK, GST_PAD_REQUEST,
    GST_STATIC_CAPS ("video/x-h264, stream-format = (string) avc, alignment = (string) au, "
        "width = (int) [ 16, MAX ], height = (int) [ 16, MAX ]; "
        "video/x-h265, alignment = (string) au, width = (int) [ 16, MAX ], height = (int) [ 16, MAX ]"));

static GType
streaming_type (void)
{
  static GType type = 0;
  static const GEnumValue values[] = {
    {0, "streaming type realtime", "realtime"},
    {1, "streaming type near realtime", "near-realtime"},
    {2, "streaming type offline", "offline"},
    {0, NULL, NULL},
  };
  if (!type)
    type = g_enum_register_static ("GstKvsSinkStreamingType", values);
  return type;
}

static GType
type_of (guint place)
{
  switch (PROPERTIES[place].type) {
    case BOOLEAN: return G_TYPE_BOOLEAN;
    case UINT: return G_TYPE_UINT;
    case UINT64: return G_TYPE_UINT64;
    case ENUM: return streaming_type ();
    case STRUCTURE: return GST_TYPE_STRUCTURE;
    default: return G_TYPE_STRING;
  }
}

static GValue *
value_of (GstKvsSink *self, const char *name)
{
  for (guint i = 0; i < COUNT; i++)
    if (strcmp (PROPERTIES[i].name, name) == 0)
      return &self->values[i];
  g_error ("%s", name);
}

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *spec)
{
  g_value_copy (value, &((GstKvsSink *) object)->values[id - 1]);
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *spec)
{
  g_value_copy (&((GstKvsSink *) object)->values[id - 1], value);
}

static void
on_ack (gpointer data, guint kind, guint64 timecode, guint result, const gchar *number)
{
  FragmentAck ack = { 0, kind, timecode, "", result };
  g_strlcpy (ack.number, number, sizeof ack.number);
  g_signal_emit (data, ack_signal, 0, &ack);
}

static void
on_status (gpointer data, guint status, gboolean fatal)
{
  GstKvsSink *self = data;
  if (fatal)
    g_atomic_int_set (&self->fatal_status, (gint) status);
  g_signal_emit (data, error_signal, 0, (guint64) status);
}

static gboolean
on_event (GstCollectPads *pads, GstCollectData *track, GstEvent *event, gpointer data)
{
  GstKvsSink *self = data;
  GstCaps *caps;
  const GValue *codec;

  if (GST_EVENT_TYPE (event) == GST_EVENT_CAPS) {
    gst_event_parse_caps (event, &caps);
    codec = gst_structure_get_value (gst_caps_get_structure (caps, 0), "codec_data");
    /* Taken once; a change is not noticed. */
    if (codec != NULL && !self->has_codec) {
      GstMapInfo info;
      GstBuffer *buffer = gst_value_get_buffer (codec);
      gst_buffer_map (buffer, &info, GST_MAP_READ);
      standin_codec (self->network, info.data, info.size);
      gst_buffer_unmap (buffer, &info);
      self->has_codec = TRUE;
    }
    gst_event_unref (event);
    return TRUE;
  }
  return gst_collect_pads_event_default (pads, track, event, FALSE);
}

static void
stop (GstKvsSink *self)
{
  if (self->network == NULL || self->stopped)
    return;
  self->stopped = TRUE;
  if (!standin_stop (self->network, g_value_get_uint (value_of (self, "stop-stream-timeout"))))
    g_print ("ERROR Failed to stop the stream in time\n");
}

static gboolean
is_dropped (GstBuffer *buffer)
{
  guint flags = GST_BUFFER_FLAGS (buffer);
  gboolean timed = GST_BUFFER_PTS_IS_VALID (buffer) && GST_BUFFER_DTS_IS_VALID (buffer);

  return (flags & (GST_BUFFER_FLAG_CORRUPTED | GST_BUFFER_FLAG_DECODE_ONLY))
      || flags == GST_BUFFER_FLAG_DISCONT
      || ((flags & GST_BUFFER_FLAG_DISCONT) && (flags & GST_BUFFER_FLAG_DELTA_UNIT))
      || ((flags & GST_BUFFER_FLAG_HEADER) && !timed);
}

static void
tell_metrics (GstKvsSink *self)
{
  Metric metric = { 3 };
  standin_view (self->network, &metric.overall_duration, &metric.overall_size);
  g_signal_emit (self, metric_signal, 0, &metric);
}

static GstFlowReturn
on_buffer (GstCollectPads *pads, GstCollectData *track, GstBuffer *buffer, gpointer data)
{
  GstKvsSink *self = data;
  GstMapInfo info;
  gboolean key;
  guint64 pts, dts;
  gint status = g_atomic_int_get (&self->fatal_status);

  if (buffer == NULL) {
    /* At once: what it keeps is delivered on the way to READY, and lost without that. */
    gst_element_post_message (GST_ELEMENT (self), gst_message_new_eos (GST_OBJECT (self)));
    return GST_FLOW_EOS;
  }
  if (status != 0) {
    GST_ELEMENT_ERROR (self, STREAM, FAILED, (NULL), ("[%s] Stream error occurred. Status: 0x%08x",
            g_value_get_string (value_of (self, "stream-name")), (guint) status));
    gst_buffer_unref (buffer);
    return GST_FLOW_ERROR;
  }
  if (is_dropped (buffer)) {
    g_print ("DEBUG Dropping frame with flag: %u\n", GST_BUFFER_FLAGS (buffer));
    gst_buffer_unref (buffer);
    return GST_FLOW_OK;
  }
  dts = GST_BUFFER_DTS_IS_VALID (buffer) ? GST_BUFFER_DTS (buffer) : self->last_dts + 2 * GST_MSECOND;
  self->last_dts = dts;
  if (self->first_pts == GST_CLOCK_TIME_NONE) {
    self->first_pts = GST_BUFFER_PTS (buffer);
    self->start_time = (guint64) g_get_real_time () * 1000;
  }
  pts = g_value_get_boolean (value_of (self, "use-original-pts"))
      ? dts : GST_BUFFER_PTS (buffer) + self->start_time - self->first_pts;
  key = !GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DELTA_UNIT);
  gst_buffer_map (buffer, &info, GST_MAP_READ);
  standin_frame (self->network, pts, key, info.data, info.size);
  gst_buffer_unmap (buffer, &info);
  gst_buffer_unref (buffer);
  if (key && g_value_get_boolean (value_of (self, "get-kvs-metrics")))
    tell_metrics (self);
  return GST_FLOW_OK;
}

static GstPad *
request_new_pad (GstElement *element, GstPadTemplate *template, const gchar *name, const GstCaps *caps)
{
  GstKvsSink *self = (GstKvsSink *) element;
  gboolean is_video = g_str_has_prefix (GST_PAD_TEMPLATE_NAME_TEMPLATE (template), "video");
  guint *count = is_video ? &self->videos : &self->audios;
  gchar *own;
  GstPad *pad;

  if (*count == 1)
    return NULL;
  own = g_strdup_printf (is_video ? "video_%u" : "audio_%u", (*count)++);
  pad = gst_pad_new_from_template (template, own);
  g_free (own);
  gst_collect_pads_add_pad (self->collect, pad, sizeof (GstCollectData), NULL, TRUE);
  gst_element_add_pad (element, pad);
  return pad;
}

static void
release_pad (GstElement *element, GstPad *pad)
{
  GstKvsSink *self = (GstKvsSink *) element;
  (*(g_str_has_prefix (GST_PAD_NAME (pad), "video") ? &self->videos : &self->audios))--;
  gst_collect_pads_remove_pad (self->collect, pad);
  gst_element_remove_pad (element, pad);
}

static gboolean
add_field (GQuark field, const GValue *value, gpointer text)
{
  if (!G_VALUE_HOLDS_STRING (value))
    return FALSE;
  g_string_append_printf (text, "iot-certificate.%s=%s\n", g_quark_to_string (field), g_value_get_string (value));
  return TRUE;
}

static gboolean
start (GstKvsSink *self, gchar **why)
{
  static const StandinCalls calls = { on_ack, on_status };
  GString *text = g_string_new ("");

  if (!g_value_get_boolean (value_of (self, "disable-buffer-clipping")))
    gst_collect_pads_set_clip_function (self->collect, gst_collect_pads_clip_running_time, self);
  /* Its peer's caps are asked for here, so it must be linked. */
  if (self->videos == 0 || !gst_pad_is_linked (GST_PAD (GST_ELEMENT (self)->sinkpads->data))) {
    *why = g_strdup ("Failed to init kvs producer. Error: no video");
    return FALSE;
  }
  for (guint i = 0; i < COUNT; i++) {
    GValue as_text = G_VALUE_INIT;
    if (PROPERTIES[i].type == STRUCTURE)
      continue;
    g_value_init (&as_text, G_TYPE_STRING);
    g_value_transform (&self->values[i], &as_text);
    g_string_append_printf (text, "%s=%s\n", PROPERTIES[i].name,
        g_value_get_string (&as_text) ? g_value_get_string (&as_text) : "");
    g_value_unset (&as_text);
  }
  if (gst_value_get_structure (value_of (self, "iot-certificate")) != NULL)
    gst_structure_foreach (gst_value_get_structure (value_of (self, "iot-certificate")), add_field, text);
  self->first_pts = GST_CLOCK_TIME_NONE;
  self->network = standin_start (text->str, &calls, self, why);
  g_string_free (text, TRUE);
  return self->network != NULL;
}

static GstStateChangeReturn
change_state (GstElement *element, GstStateChange transition)
{
  GstKvsSink *self = (GstKvsSink *) element;
  gchar *why = NULL;

  switch (transition) {
    case GST_STATE_CHANGE_NULL_TO_READY:
      if (!start (self, &why)) {
        GST_ELEMENT_ERROR (self, LIBRARY, INIT, (NULL), ("%s", why));
        g_free (why);
        return GST_STATE_CHANGE_FAILURE;
      }
      g_print ("Stream is ready\n");
      break;
    case GST_STATE_CHANGE_READY_TO_PAUSED:
      gst_collect_pads_start (self->collect);
      break;
    case GST_STATE_CHANGE_PAUSED_TO_READY:
      gst_collect_pads_stop (self->collect);
      stop (self);
      break;
    default:
      break;
  }
  return GST_ELEMENT_CLASS (gst_kvs_sink_parent_class)->change_state (element, transition);
}

static void
finalize (GObject *object)
{
  GstKvsSink *self = (GstKvsSink *) object;
  if (self->network != NULL)
    standin_free (self->network);
  gst_object_unref (self->collect);
  for (guint i = 0; i < COUNT; i++)
    g_value_unset (&self->values[i]);
  G_OBJECT_CLASS (gst_kvs_sink_parent_class)->finalize (object);
}

static GParamSpec *
spec_of (guint i)
{
  const char *name = PROPERTIES[i].name, *blurb = PROPERTIES[i].blurb;
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS;

  switch (PROPERTIES[i].type) {
    case BOOLEAN: return g_param_spec_boolean (name, name, blurb, PROPERTIES[i].number, flags);
    case UINT: return g_param_spec_uint (name, name, blurb, 0, G_MAXUINT, PROPERTIES[i].number, flags);
    case UINT64: return g_param_spec_uint64 (name, name, blurb, 0, G_MAXUINT64, 0, flags);
    case ENUM: return g_param_spec_enum (name, name, blurb, streaming_type (), 0, flags);
    case STRUCTURE: return g_param_spec_boxed (name, name, blurb, GST_TYPE_STRUCTURE, flags);
    default: return g_param_spec_string (name, name, blurb, PROPERTIES[i].text, flags);
  }
}

static void
gst_kvs_sink_class_init (GstKvsSinkClass *klass)
{
  GObjectClass *object = G_OBJECT_CLASS (klass);
  GstElementClass *element = GST_ELEMENT_CLASS (klass);

  object->set_property = set_property;
  object->get_property = get_property;
  object->finalize = finalize;
  for (guint i = 0; i < COUNT; i++)
    g_object_class_install_property (object, i + 1, spec_of (i));
  gst_element_class_set_static_metadata (element, "KVS Sink", "Sink/Video/Network",
      "GStreamer AWS KVS plugin", "AWS KVS <kinesis-video-support@amazon.com>");
  gst_element_class_add_static_pad_template (element, &audio_template);
  gst_element_class_add_static_pad_template (element, &video_template);
  element->change_state = change_state;
  element->request_new_pad = request_new_pad;
  element->release_pad = release_pad;
  error_signal = g_signal_new ("stream-error", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0,
      NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_UINT64);
  ack_signal = g_signal_new ("fragment-ack", G_TYPE_FROM_CLASS (klass), G_SIGNAL_ACTION, 0,
      NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_POINTER);
  metric_signal = g_signal_new ("stream-client-metric", G_TYPE_FROM_CLASS (klass), G_SIGNAL_ACTION, 0,
      NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_POINTER);
}

static void
gst_kvs_sink_init (GstKvsSink *self)
{
  self->collect = gst_collect_pads_new ();
  gst_collect_pads_set_buffer_function (self->collect, on_buffer, self);
  gst_collect_pads_set_event_function (self->collect, on_event, self);
  for (guint i = 0; i < COUNT; i++) {
    GValue *value = g_value_init (&self->values[i], type_of (i));
    switch (PROPERTIES[i].type) {
      case BOOLEAN: g_value_set_boolean (value, PROPERTIES[i].number); break;
      case UINT: g_value_set_uint (value, PROPERTIES[i].number); break;
      case UINT64: g_value_set_uint64 (value, g_get_real_time () / G_USEC_PER_SEC); break;
      case TEXT: g_value_set_string (value, PROPERTIES[i].text); break;
      default: break;
    }
  }
  GST_OBJECT_FLAG_SET (self, GST_ELEMENT_FLAG_SINK);
}

static gboolean
plugin_init (GstPlugin *plugin)
{
  return gst_element_register (plugin, "kvssink", GST_RANK_PRIMARY + 10, gst_kvs_sink_get_type ());
}

#define PACKAGE "kvssinkpackage"
GST_PLUGIN_DEFINE (GST_VERSION_MAJOR, GST_VERSION_MINOR, kvssink, "GStreamer AWS KVS plugin",
    plugin_init, "1.0", "Proprietary", "GStreamer", "http://gstreamer.net/")
