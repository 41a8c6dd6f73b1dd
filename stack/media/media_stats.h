// What is known of a track and of its transport, under the names of the W3C
// (https://www.w3.org/TR/webrtc-stats/): plain structs, and a table of their members for those who
// print or compare them.
//
// A W3C duration in seconds is a nanotime here, a timestamp too (time of the run); "per thousand"
// and the like are scaled integers, as `enum media_unit` says. A stream of a simulcast is a layer
// of its own; the struct of the track has their sums.
#ifndef STACK_MEDIA_MEDIA_STATS_H
#define STACK_MEDIA_MEDIA_STATS_H

#include "base/clock.h"

#define MEDIA_LAYERS_MAX 3

// RTCInboundRtpStreamStats, with its parents.
struct media_inbound {
    uint64_t ssrc, rtxSsrc, fecSsrc; // of its repair streams; 0: none
    uint64_t packetsReceived, bytesReceived, headerBytesReceived;
    int64_t packetsLost;
    nanotime jitter;
    nanotime lastPacketReceivedTimestamp;
    uint64_t packetsDiscarded;
    uint64_t retransmittedPacketsReceived, retransmittedBytesReceived;
    uint64_t fecPacketsReceived, fecBytesReceived, fecPacketsDiscarded;
    uint64_t nackCount, pliCount, firCount;
    nanotime jitterBufferDelay, jitterBufferTargetDelay, jitterBufferMinimumDelay;
    uint64_t jitterBufferEmittedCount;
    nanotime totalProcessingDelay, estimatedPlayoutTimestamp;
    // Video.
    uint64_t framesReceived, framesDecoded, keyFramesDecoded, framesRendered, framesDropped;
    uint64_t frameWidth, frameHeight, framesPerSecond;
    uint64_t freezeCount, pauseCount;
    nanotime totalFreezesDuration, totalPausesDuration, totalInterFrameDelay;
    uint64_t totalSquaredInterFrameDelay; // millionths of s^2
    uint64_t framesAssembledFromMultiplePackets;
    nanotime totalAssemblyTime;
    // Audio, in samples.
    uint64_t totalSamplesReceived, concealedSamples, silentConcealedSamples, concealmentEvents;
    uint64_t insertedSamplesForDeceleration, removedSamplesForAcceleration;
    nanotime totalSamplesDuration;
    uint64_t audioLevel;       // thousandths of full scale
    uint64_t totalAudioEnergy; // millionths of a second at full scale, by the levels told
};

// RTCOutboundRtpStreamStats, with its parents and its source.
struct media_outbound {
    uint64_t ssrc, rtxSsrc;
    uint64_t packetsSent, bytesSent, headerBytesSent;
    uint64_t retransmittedPacketsSent, retransmittedBytesSent;
    uint64_t nackCount, pliCount, firCount;
    uint64_t targetBitrate; // bit/s
    uint64_t totalEncodedBytesTarget;
    uint64_t frameWidth, frameHeight, framesPerSecond;
    uint64_t framesSent, framesEncoded, keyFramesEncoded, hugeFramesSent;
    nanotime totalPacketSendDelay;
    const char *qualityLimitationReason;                        // none, bandwidth
    nanotime qualityLimitationNone, qualityLimitationBandwidth; // of qualityLimitationDurations
    uint64_t qualityLimitationResolutionChanges;
    bool active;
};

// RTCRemoteInboundRtpStreamStats: what the receiver reports of our stream.
struct media_remote_inbound {
    uint64_t packetsReceived; // by the highest number and the losses that it reports
    int64_t packetsLost;
    uint64_t packetsReportedAsLost, packetsReportedAsLostButRecovered; // RFC 8888
    nanotime jitter;
    uint64_t fractionLost; // per billion
    nanotime roundTripTime, totalRoundTripTime;
    uint64_t roundTripTimeMeasurements;
};

// RTCRemoteOutboundRtpStreamStats: what the sender reports of its stream.
struct media_remote_outbound {
    uint64_t packetsSent, bytesSent, reportsSent;
    nanotime remoteTimestamp;
    nanotime roundTripTime, totalRoundTripTime; // by DLRR (RFC 3611 4.5)
    uint64_t roundTripTimeMeasurements;
};

// RTCAudioSourceStats; what RTCVideoSourceStats has is that of the frames sent.
struct media_source_stats {
    uint64_t audioLevel;       // thousandths of full scale
    uint64_t totalAudioEnergy; // millionths of a second at full scale
    nanotime totalSamplesDuration;
};

// One layer of a simulcast: an RTCOutboundRtpStreamStats of its own.
struct media_layer_stats {
    const char *rid;
    struct media_outbound out;
    struct media_remote_inbound remote_in;
};

// What the W3C has no name for.
struct media_quality {
    uint64_t mos;      // thousandths, 1000..4500: G.107; 0: no audio was received
    uint64_t r_factor; // thousandths
    nanotime delay;    // mouth to ear, as far as it is known: half a round trip and the buffer
    uint64_t effective_loss;        // per billion: what was concealed
    uint64_t burst_ratio;           // thousandths
    nanotime lip_sync;              // how far audio is ahead (+) or behind (-) of video at playout
    uint64_t recovered;             // packets that RTX brought back or FEC computed
    uint64_t digits;                // telephone events begun
    uint64_t intact, damaged;       // synthetic frames whose checksum fits or not
    uint64_t frames_missing;        // counted in the synthetic frames themselves
    uint64_t layer;                 // of simulcast: the one received, from 0, lowest first
    uint64_t keyframes_since_asked; // for those who have this side ask: decoded since then
};

struct media_track_stats {
    bool sends, receives; // negotiated
    const char *codec;    // "opus", "VP8"; "" until agreed on
    const char *mid;      // "" until agreed on
    uint64_t payload_type;
    struct media_inbound in;
    struct media_outbound out;
    struct media_remote_inbound remote_in;
    struct media_remote_outbound remote_out;
    struct media_quality quality;
    struct media_source_stats source;
    struct media_layer_stats layers[MEDIA_LAYERS_MAX];
    unsigned layers_count; // 0: no simulcast
};

// RTCTransportStats and RTCIceCandidatePairStats, as far as media knows them, and congestion
// control.
struct media_transport_stats {
    uint64_t availableOutgoingBitrate; // bit/s
    uint64_t availableIncomingBitrate; // by the receiver's own estimate, for REMB; 0: none
    uint64_t packetsSent, packetsReceived, bytesSent, bytesReceived; // clear RTP and RTCP
    uint64_t rtcp_sent, rtcp_received, feedback_sent, feedback_received;
    uint64_t probes;
    uint64_t ccfbMessagesSent, ccfbMessagesReceived; // of RFC 8888
    uint64_t collisions;                             // of our SSRCs with somebody else's
    uint64_t pacer_drops;
    uint64_t frames_too_long; // that no packet could hold: not sent
    nanotime pacer_delay_max;
    uint64_t acked_bps, delay_bps, loss_bps;
    const char *usage;  // normal, overuse, underuse
    uint64_t drops[16]; // by enum media_drop
};

// ------------------------------------------------------------------------------------------
// members

enum media_unit {
    UNIT_COUNT,
    UNIT_SIGNED,
    UNIT_TIME, // nanotime
    UNIT_THOUSANDTH,
    UNIT_MILLIONTH,
    UNIT_BILLIONTH, // shown as a percentage
    UNIT_WORD,
    UNIT_BOOL,
};
struct media_member {
    const char *name; // of the W3C; in lower case with hyphens where it has none
    enum media_unit unit;
    size_t offset; // in struct media_track_stats, or struct media_transport_stats
    const char *meaning;
    // The member that whoever reads the statistics counts this one from: no peer tells it. NULL of
    // all others.
    const char *counted_from;
};
// Of a track, in groups: "in.", "out.", "remote-in.", "remote-out.", "source." before W3C names,
// nothing before our own. Ends with a NULL name.
extern const struct media_member media_track_members[];
extern const struct media_member media_transport_members[];

#endif
