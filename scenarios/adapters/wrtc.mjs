#!/usr/bin/env node
// @roamhq/wrtc: Google's libwebrtc, as a library of node. It has no camera and no microphone: a moving bar and a tone are made here.
import { heard, load, say, serve } from './lines.mjs';
import { w3c_commands } from './w3c.mjs';

const { stack, version } = load('@roamhq/wrtc');
const { RTCAudioSink, RTCAudioSource, RTCVideoSink, RTCVideoSource } = stack.nonstandard;
const RATE = 48000, SAMPLES = RATE / 100, TONE_HZ = 440, LATE_MAX_MS = 200;
const kept = []; // what nobody else holds

// `make` every `period` ms, also those for which the timer came late.
function steadily(period, make) {
    let next = performance.now();
    kept.push(setInterval(() => {
        const now = performance.now();
        next = Math.max(next, now - LATE_MAX_MS);
        for (; next <= now; next += period)
            make();
    }, period));
}

function video({ width, height, fps }) {
    const source = new RTCVideoSource(), luma = width * height, data = new Uint8ClampedArray(luma * 3 / 2);
    let count = 0;
    steadily(1000 / fps, () => {
        const bar = 4 * count++ % width;
        for (let i = 0; i < luma; i++)
            data[i] = (i % width - bar + width) % width < 16 ? 235 : 64;
        data.fill(128, luma);
        source.onFrame({ width, height, data });
    });
    return source.createTrack();
}

function audio() {
    const source = new RTCAudioSource(), samples = new Int16Array(SAMPLES);
    let count = 0;
    steadily(10, () => {
        for (let i = 0; i < SAMPLES; i++)
            samples[i] = 8000 * Math.sin(2 * Math.PI * TONE_HZ * count++ / RATE);
        source.onData({ samples, sampleRate: RATE, bitsPerSample: 16, channelCount: 1, numberOfFrames: SAMPLES });
    });
    return source.createTrack();
}

const about = {
    stack: 'wrtc', version,
    source: async (track) => track.kind === 'video' ? video(track) : audio(),
    sink: (track) => kept.push(track.kind === 'video' ? new RTCVideoSink(track) : new RTCAudioSink(track)),
};
serve(w3c_commands(stack.RTCPeerConnection, about, say, heard));
