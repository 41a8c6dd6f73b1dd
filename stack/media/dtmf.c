#include "stack/media/dtmf.h"

#include <assert.h>

#define VOLUME 10          // -dBm0
#define END_PACKETS 3      // RFC 4733 2.5.1.4
#define SEGMENT_MAX 0xffff // RFC 4733 2.5.1.3
#define BILLION 1000000000
#define COMMA (2 * TIME_S) // W3C webrtc-pc 7.1, insertDTMF(): a delay of 2 seconds

static const char digits_of_events[] = "0123456789*#ABCD!";

int dtmf_event(char digit)
{
    if (digit >= 'a' && digit <= 'd')
        digit = (char)(digit - 'a' + 'A');
    const char *at = digit ? strchr(digits_of_events, digit) : NULL;
    return at ? (int)(at - digits_of_events) : -1;
}

char dtmf_digit(unsigned event)
{
    return event <= DTMF_EVENT_FLASH ? digits_of_events[event] : 0;
}

// RFC 4733 2.3
void dtmf_write(uint8_t to[DTMF_PAYLOAD_LEN], const struct dtmf_payload *payload)
{
    to[0] = payload->event;
    to[1] = (uint8_t)(payload->end << 7 | (payload->volume & 63));
    put_u16(to + 2, payload->duration);
}

bool dtmf_read(struct bytes payload, struct dtmf_payload *out)
{
    struct reader r = reader_of(payload);
    uint8_t event = read_u8(&r), bits = read_u8(&r);
    *out = (struct dtmf_payload){event, bits >> 7, bits & 63, read_u16(&r)};
    return !r.failed;
}

// ---------------------------------------------------------------------------------------- sender

void dtmf_sender_init(struct dtmf_sender *sender, uint32_t clock_rate, nanotime interval)
{
    assert(clock_rate && interval > 0);
    *sender = (struct dtmf_sender){.clock_rate = clock_rate, .interval = interval};
}

bool dtmf_dial(struct dtmf_sender *sender, nanotime now, const char *digits, nanotime tone,
               nanotime gap)
{
    size_t len = strlen(digits);
    if (len > DTMF_DIGITS_MAX - sender->count)
        return false;
    for (size_t i = 0; i < len; i++)
        if (dtmf_event(digits[i]) < 0 && digits[i] != ',')
            return false;
    for (size_t i = 0; i < len; i++) {
        unsigned at = (sender->head + sender->count++) % DTMF_DIGITS_MAX;
        sender->queue[at].event = dtmf_event(digits[i]);
        sender->queue[at].tone = time_max(tone, sender->interval);
        sender->queue[at].gap = digits[i] == ',' ? COMMA : time_max(gap, 0);
    }
    if (sender->state == DTMF_IDLE)
        sender->due = now;
    return true;
}

bool dtmf_sender_playing(const struct dtmf_sender *sender)
{
    return sender->state == DTMF_TONE;
}

nanotime dtmf_sender_deadline(const struct dtmf_sender *sender)
{
    return sender->state == DTMF_IDLE && !sender->count ? TIME_NEVER : sender->due;
}

static uint64_t units(const struct dtmf_sender *sender, nanotime span)
{
    return (uint64_t)(span / BILLION * sender->clock_rate +
                      span % BILLION * sender->clock_rate / BILLION);
}

static void begin(struct dtmf_sender *sender, nanotime now, uint32_t timestamp)
{
    sender->state = DTMF_TONE;
    sender->began = now;
    // RFC 4733 2.5.1.2: the first report may come as soon as the event is known; here one interval
    // on.
    sender->due = now + sender->interval;
    sender->timestamp = timestamp;
    sender->sent_before = 0;
    sender->ends = 0;
    sender->first = true;
}

// On to what is next, after the gap of this one.
static void end(struct dtmf_sender *sender)
{
    nanotime gap = sender->queue[sender->head].gap;
    sender->head = (sender->head + 1) % DTMF_DIGITS_MAX;
    sender->count--;
    sender->state = DTMF_GAP;
    sender->due = time_max(sender->due, sender->until + gap);
}

// The next report of the event that plays.
static void report(struct dtmf_sender *sender, struct dtmf_packet *out)
{
    bool over = sender->due >= sender->until;
    uint64_t total = units(sender, time_min(sender->due, sender->until) - sender->began);
    uint64_t duration = total - sender->sent_before;
    struct dtmf_payload payload = {.event = (uint8_t)sender->queue[sender->head].event,
                                   .volume = VOLUME};
    *out = (struct dtmf_packet){.timestamp = sender->timestamp, .marker = sender->first};
    sender->first = false;
    if (duration > SEGMENT_MAX) {
        // RFC 4733 2.5.1.3: the segment's end, without E; the next begins where it ended.
        payload.duration = SEGMENT_MAX;
        dtmf_write(out->payload, &payload);
        sender->sent_before += SEGMENT_MAX;
        sender->timestamp += SEGMENT_MAX;
        return; // due as before: the new segment's report follows at once
    }
    payload.duration = (uint16_t)duration;
    payload.end = over;
    dtmf_write(out->payload, &payload);
    if (!over)
        sender->due = time_min(sender->due + sender->interval, sender->until);
    else if (++sender->ends == END_PACKETS)
        end(sender);
    else
        sender->due += sender->interval; // RFC 4733 2.5.1.4: the end again, at the same pace
}

bool dtmf_sender_poll(struct dtmf_sender *sender, nanotime now, uint32_t timestamp_now,
                      struct dtmf_packet *out)
{
    while (now >= dtmf_sender_deadline(sender)) {
        if (sender->state == DTMF_TONE) {
            report(sender, out);
            return true;
        }
        if (!sender->count) { // the gap after the last digit is over
            sender->state = DTMF_IDLE;
            continue;
        }
        if (sender->queue[sender->head].event < 0) {
            sender->until = now;
            end(sender);
            continue;
        }
        begin(sender, now, timestamp_now);
        sender->until = now + sender->queue[sender->head].tone;
    }
    return false;
}

// -------------------------------------------------------------------------------------- receiver

static bool continues(const struct dtmf_receiver *r, uint32_t timestamp, uint8_t event)
{
    // RFC 4733 2.5.1.3: the next segment begins where one of full length ended.
    return r->open && r->event == event && timestamp == r->timestamp + SEGMENT_MAX;
}

enum dtmf_news dtmf_receiver_input(struct dtmf_receiver *r, uint32_t timestamp,
                                   struct bytes payload)
{
    struct dtmf_payload p;
    if (!dtmf_read(payload, &p) || p.event > DTMF_EVENT_FLASH)
        return DTMF_MALFORMED;
    if (r->any && continues(r, timestamp, p.event)) {
        r->before += SEGMENT_MAX;
        r->timestamp = timestamp;
    } else if (!r->any || (int32_t)(timestamp - r->timestamp) > 0) {
        *r = (struct dtmf_receiver){.any = true,
                                    .open = !p.end,
                                    .event = p.event,
                                    .timestamp = timestamp,
                                    .duration = p.duration,
                                    .digits = r->digits + 1};
        return DTMF_BEGAN;
    } else if (timestamp != r->timestamp || !r->open || p.event != r->event) {
        return DTMF_NOTHING; // RFC 4733 2.5.2.2: of an event that is over
    }
    if (r->before + p.duration > r->duration)
        r->duration = r->before + p.duration;
    if (!p.end)
        return DTMF_NOTHING;
    r->open = false;
    return DTMF_ENDED;
}
