#include "stack/media/clip_ogg.h"
#include "stack/media/clip_priv.h"

#include "base/arena.h"
#include "stack/media/payload.h"

#include <ogg/ogg.h>
#include <stdlib.h>

#define OPUS_HEAD_LEN 19

struct ogg_reading {
    ogg_sync_state sync;
    ogg_stream_state stream;
    bool has_stream;
    const char *name;
    size_t at;        // where the page that is being read begins in the file
    unsigned packets; // of the stream so far
    uint64_t timestamp;
};

bool clip_ogg_is(struct bytes file)
{
    return bytes_starts(file, "OggS");
}

// RFC 7845 5.1
static bool opus_head(const struct ogg_reading *o, struct bytes packet, struct clip *clip,
                      struct err *err)
{
    if (packet.len < OPUS_HEAD_LEN || !bytes_starts(packet, "OpusHead"))
        return err_set(err, "%s: byte %zu: expected a stream of Opus (\"OpusHead\")", o->name,
                       o->at);
    // RFC 7845 5.1: versions below 16 are compatible.
    if (packet.at[8] >= 16)
        return err_set(err, "%s: byte %zu: OpusHead of version %u, expected below 16", o->name,
                       o->at, packet.at[8]);
    // RFC 7587 7: mono or stereo alone; that is mapping family 0.
    if (packet.at[18] != 0 || packet.at[9] < 1 || packet.at[9] > 2)
        return err_set(err, "%s: byte %zu: %u channels in mapping family %u, expected 1 or 2 in 0",
                       o->name, o->at, packet.at[9], packet.at[18]);
    clip->kind = CODEC_OPUS;
    clip->skip = (uint32_t)(packet.at[10] | packet.at[11] << 8);
    return true;
}

static bool add_packet(struct ogg_reading *o, struct bytes packet, struct clip *clip,
                       struct err *err)
{
    unsigned number = o->packets++;
    if (number == 0)
        return opus_head(o, packet, clip, err);
    if (number == 1)
        return bytes_starts(packet, "OpusTags") ||
               err_set(err, "%s: byte %zu: expected \"OpusTags\"", o->name, o->at);
    uint32_t samples = payload_opus_samples(packet);
    if (!samples)
        return err_set(err, "%s: byte %zu: packet %u is no packet of Opus", o->name, o->at, number);
    if (!clip_add(clip, packet, o->timestamp, o->name, o->at, err))
        return false;
    o->timestamp += samples;
    return true;
}

static bool add_page(struct ogg_reading *o, ogg_page *page, struct clip *clip, struct err *err)
{
    if (!o->has_stream) {
        if (ogg_stream_init(&o->stream, ogg_page_serialno(page)) != 0)
            return err_set(err, "%s: no memory to read it", o->name);
        o->has_stream = true;
    }
    // The serial number of another stream, or a version that is not 0.
    if (ogg_stream_pagein(&o->stream, page) != 0)
        return err_set(err, "%s: byte %zu: a page of another stream, expected one stream", o->name,
                       o->at);
    ogg_packet packet;
    int got;
    while ((got = ogg_stream_packetout(&o->stream, &packet)) > 0)
        if (!add_packet(o, bytes_of(packet.packet, (size_t)packet.bytes), clip, err))
            return false;
    return got == 0 || err_set(err, "%s: byte %zu: pages before it are missing", o->name, o->at);
}

static bool read_pages(struct ogg_reading *o, struct bytes file, struct clip *clip, struct err *err)
{
    char *to = ogg_sync_buffer(&o->sync, (long)file.len);
    if (!to)
        return err_set(err, "%s: no memory to read it", o->name);
    memcpy(to, file.at, file.len);
    ogg_sync_wrote(&o->sync, (long)file.len);
    while (o->at < file.len) {
        ogg_page page;
        long got = ogg_sync_pageseek(&o->sync, &page);
        if (got == 0)
            return err_set(err, "%s: byte %zu: the file ends inside of a page", o->name, o->at);
        if (got < 0) // it looked further for a page that is whole
            return err_set(err, "%s: byte %zu: expected a page, or its checksum is wrong", o->name,
                           o->at);
        if (!add_page(o, &page, clip, err))
            return false;
        o->at += (size_t)got;
    }
    return true;
}

bool clip_ogg_read(struct bytes file, const char *name, struct clip *clip, struct err *err)
{
    struct ogg_reading o = {.name = name};
    if (file.len > INT32_MAX)
        return err_set(err, "%s: byte %d: longer than 2 GiB", name, INT32_MAX);
    ogg_sync_init(&o.sync);
    bool good = read_pages(&o, file, clip, err);
    if (o.has_stream)
        ogg_stream_clear(&o.stream);
    ogg_sync_clear(&o.sync);
    clip->duration = o.timestamp;
    return good;
}
