// Seeds out of captures: the datagrams of each kind, one of each shape.
//
//     seeds out-folder <list-of-captures
//
// A shape is what a decoder would take another way for: the type of a STUN message and its
// attributes, the records of a DTLS datagram, the types of an RTCP packet. The first datagram of a
// shape is written to out-folder/<kind>/<shape>, and a line "kind/shape<TAB>capture packet N" says
// where it comes from. Beside datagrams: for each capture, what came to one address, as the
// harnesses dtls, demux and turn_stream take it. The last line is how many there were.
#include "fuzz/fuzz.h"
#include "fuzz/kit/capture_read.h"
#include "stack/stun/stun.h"

#include <errno.h>
#include <sys/stat.h>

#define SHAPES_MAX 4096
#define SHAPE_MAX 200
#define SESSIONS_MAX 8 // addresses of one capture
#define SESSION_BYTES_MAX 3000

// Datagrams to one address, behind their lengths.
struct session {
    struct addr to;
    struct writer w;
    uint8_t bytes[SESSION_BYTES_MAX];
    char shape[SHAPE_MAX];
};

struct seeds {
    const char *folder, *capture;
    unsigned packet;
    char *shapes[SHAPES_MAX]; // "kind/shape"
    unsigned count, seen, lost;
    struct session dtls[SESSIONS_MAX], demux[SESSIONS_MAX], stream[SESSIONS_MAX];
    unsigned dtls_count, demux_count, stream_count;
};

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

// Shorter than any file system's names, and of its letters.
static uint32_t hash_of(const char *text)
{
    uint32_t hash = 0x811c9dc5u; // FNV-1a
    for (; *text; text++)
        hash = (hash ^ (uint8_t)*text) * 0x01000193u;
    return hash;
}

static void write_file(const char *path, struct bytes bytes)
{
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes.at, 1, bytes.len, file) != bytes.len || fclose(file) != 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(2);
    }
}

static void keep(struct seeds *s, const char *kind, const char *shape, struct bytes bytes)
{
    char key[SHAPE_MAX + 32], path[4096];
    snprintf(key, sizeof key, "%s/%s", kind, shape);
    s->seen++;
    for (unsigned i = 0; i < s->count; i++)
        if (strcmp(s->shapes[i], key) == 0)
            return;
    if (s->count == SHAPES_MAX) {
        s->lost++;
        return;
    }
    s->shapes[s->count] = mem_alloc(strlen(key) + 1);
    memcpy(s->shapes[s->count++], key, strlen(key) + 1);
    snprintf(path, sizeof path, "%s/%s", s->folder, kind);
    mkdir(path, 0777);
    // A name for people, and a number that makes it the shape's own.
    int word = (int)strcspn(shape, ",");
    snprintf(path, sizeof path, "%s/%s/suite-%.*s-%08x", s->folder, kind, word, shape,
             hash_of(shape));
    write_file(path, bytes);
    printf("%s/%s\t%s packet %u\n", kind, base_of(path), s->capture, s->packet);
}

static void append(char *shape, const char *format, unsigned value)
{
    size_t len = strlen(shape);
    snprintf(shape + len, SHAPE_MAX - len, format, value);
}

static unsigned size_class(size_t len)
{
    unsigned class = 0;
    for (; len > 0; len /= 4)
        class ++;
    return class;
}

// ---------------------------------------------------------------------------------- the kinds

static bool stun_shape(struct bytes bytes, char *shape)
{
    static const char *const classes[] = {"request", "indication", "success", "error"};
    struct stun_msg msg;
    if (!stun_is_stun(bytes) || stun_decode(bytes, &msg) != STUN_OK)
        return false;
    const char *method = stun_method_name(msg.method);
    snprintf(shape, SHAPE_MAX, "%s-%s,", method && method[0] ? method : "other",
             classes[msg.class]);
    for (char *at = shape; *at; at++)
        *at = (char)(*at == ' ' ? '-' : *at);
    struct reader r = reader_of(bytes_from(bytes, STUN_HEADER_LEN));
    while (r.len >= 4) {
        unsigned type = read_u16(&r), len = read_u16(&r);
        read_skip(&r, (len + 3u) & ~3u);
        append(shape, "%04x,", type);
    }
    if (msg.class == STUN_ERROR)
        append(shape, "code %u", msg.error_code);
    return true;
}

// Content type, epoch or not, handshake type, and how long: of each record.
static void dtls_shape(struct bytes bytes, char *shape)
{
    struct reader r = reader_of(bytes);
    while (r.len >= 13) {
        unsigned type = read_u8(&r);
        read_skip(&r, 2);
        unsigned epoch = read_u16(&r);
        read_skip(&r, 6);
        struct bytes body = read_bytes(&r, read_u16(&r));
        append(shape, "r%u", type);
        if (epoch == 0 && type == 22 && body.len > 0)
            append(shape, "h%u", body.at[0]);
        append(shape, epoch ? "e%u," : "p%u,", size_class(body.len));
    }
}

static void rtcp_shape(struct bytes bytes, char *shape)
{
    struct reader r = reader_of(bytes);
    while (r.len >= 4) {
        unsigned first = read_u8(&r), type = read_u8(&r);
        read_skip(&r, read_u16(&r) * 4u);
        append(shape, "t%u", type);
        append(shape, "c%u,", first & 31);
    }
}

static void rtp_shape(struct bytes bytes, char *shape)
{
    append(shape, "pt%u,", bytes.len > 1 ? bytes.at[1] & 127u : 0);
    append(shape, "f%u,", bytes.at[0] & 63u);
    append(shape, "s%u", size_class(bytes.len));
}

// RFC 7983 7, and RFC 5761 4 for RTCP beside RTP.
static const char *kind_of(struct bytes bytes, char *shape)
{
    uint8_t first = bytes.len ? bytes.at[0] : 255;
    shape[0] = 0;
    if (first <= 3)
        return stun_shape(bytes, shape) ? "stun" : NULL;
    if (first >= 20 && first <= 63) {
        dtls_shape(bytes, shape);
        return "dtls";
    }
    if (first >= 64 && first <= 79 && bytes.len > 4) {
        struct bytes inner = bytes_from(bytes, 4);
        append(shape, "channel-%u,", inner.at[0]);
        append(shape, "s%u", size_class(inner.len));
        return "channel";
    }
    if (first >= 128 && first <= 191 && bytes.len >= 4) {
        bool rtcp = bytes.at[1] >= 192 && bytes.at[1] <= 223;
        if (rtcp)
            rtcp_shape(bytes, shape);
        else
            rtp_shape(bytes, shape);
        return rtcp ? "rtcp" : "rtp";
    }
    return NULL;
}

// ------------------------------------------------------------------------------------ sessions

// NULL: there is no room.
static struct session *session_with(struct session *sessions, unsigned *count,
                                    const struct datagram *d, uint8_t flags)
{
    unsigned i = 0;
    while (i < *count && !addr_equal(&sessions[i].to, &d->to))
        i++;
    if (i == SESSIONS_MAX)
        return NULL;
    struct session *session = &sessions[i];
    if (i == *count) {
        (*count)++;
        *session = (struct session){.to = d->to, .shape = "session,"};
        session->w = writer_of(session->bytes, sizeof session->bytes);
        write_u8(&session->w, flags);
    }
    return session->w.len + d->bytes.len + 8 <= sizeof session->bytes ? session : NULL;
}

static void session_note(struct session *session, const char *shape)
{
    size_t len = strlen(session->shape);
    snprintf(session->shape + len, SHAPE_MAX - len, "%08x,", hash_of(shape));
}

static void sessions_end(struct seeds *s)
{
    for (unsigned i = 0; i < s->dtls_count; i++) {
        struct session *session = &s->dtls[i];
        // A server is told a ClientHello first.
        bool server = session->w.len > 16 && session->bytes[16] == 1;
        session->bytes[0] = server ? 11 : 9;
        keep(s, "dtls-session", session->shape, writer_bytes(&session->w));
    }
    for (unsigned i = 0; i < s->demux_count; i++)
        keep(s, "demux", s->demux[i].shape, writer_bytes(&s->demux[i].w));
    for (unsigned i = 0; i < s->stream_count; i++)
        keep(s, "turn-stream", s->stream[i].shape, writer_bytes(&s->stream[i].w));
    s->dtls_count = s->demux_count = s->stream_count = 0;
}

// As demux.c has it: who sends, then a length of two bytes.
static void add_to_demux(struct seeds *s, const struct datagram *d, const char *shape)
{
    struct session *session = session_with(s->demux, &s->demux_count, d, 5);
    if (!session)
        return;
    write_u8(&session->w, d->from.port == 3478 ? 1 : 4);
    write_u16(&session->w, (uint16_t)d->bytes.len);
    write_bytes(&session->w, d->bytes);
    session_note(session, shape);
}

// As dtls.c has it, with lengths of two bytes.
static void add_to_dtls(struct seeds *s, const struct datagram *d, const char *shape)
{
    struct session *session = session_with(s->dtls, &s->dtls_count, d, 9);
    if (!session)
        return;
    write_u16(&session->w, (uint16_t)d->bytes.len);
    write_bytes(&session->w, d->bytes);
    session_note(session, shape);
}

// RFC 8656 12.5: padded to a multiple of four.
static void add_to_stream(struct seeds *s, const struct datagram *d, const char *shape)
{
    struct session *session = session_with(s->stream, &s->stream_count, d, 0);
    if (!session)
        return;
    write_bytes(&session->w, d->bytes);
    write_zeros(&session->w, (4 - d->bytes.len % 4) % 4);
    session_note(session, shape);
}

static void take(struct seeds *s, const struct datagram *d)
{
    char shape[SHAPE_MAX];
    const char *kind = kind_of(d->bytes, shape);
    if (!kind)
        return;
    keep(s, kind, shape, d->bytes);
    add_to_demux(s, d, shape);
    if (strcmp(kind, "dtls") == 0)
        add_to_dtls(s, d, shape);
    if (d->from.port == 3478 || d->to.port == 3478)
        add_to_stream(s, d, shape);
}

static void read_capture(struct seeds *s, const char *path)
{
    struct err err = {0};
    struct capture_read_packet packet;
    struct datagram datagram;
    bool damaged = false;
    FILE *file = fopen(path, "rb");
    struct capture_reader *reader = file ? capture_reader_new(file, &err) : NULL;
    if (!reader) {
        fprintf(stderr, "%s: %s\n", path, file ? err.text : strerror(errno));
        exit(2);
    }
    s->capture = path;
    s->packet = 0;
    while (capture_reader_next(reader, &packet, &damaged)) {
        s->packet++;
        if (capture_read_datagram(capture_reader_link_type(reader), packet.bytes, &datagram))
            take(s, &datagram);
    }
    if (damaged)
        fprintf(stderr, "%s: packet %u is damaged\n", path, s->packet + 1);
    sessions_end(s);
    capture_reader_free(reader);
}

int main(int argc, char **argv)
{
    static struct seeds seeds;
    static char path[4096];
    unsigned captures = 0;
    if (argc != 2) {
        fprintf(stderr, "usage: seeds out-folder <list-of-captures\n");
        return 2;
    }
    seeds.folder = argv[1];
    mkdir(argv[1], 0777);
    for (; fgets(path, sizeof path, stdin); captures++) {
        path[strcspn(path, "\n")] = 0;
        read_capture(&seeds, path);
    }
    printf("%u captures, %u datagrams and sessions, %u shapes, %u lost for want of room\n",
           captures, seeds.seen, seeds.count, seeds.lost);
    for (unsigned i = 0; i < seeds.count; i++)
        free(seeds.shapes[i]);
    return 0;
}
