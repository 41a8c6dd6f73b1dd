#!/usr/bin/env node
// Chromium without its window, driven over DevTools' pipe: no driver, no port, no other package. The commands are carried out in a page.
//
// The page is a file, since only of a page with a secure origin, that may use a camera, the browser tells all addresses. The camera is a fake one.
import { spawn } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fatal, serve, unsupported } from './lines.mjs';
import { w3c_commands } from './w3c.mjs';

const COMMANDS = ['init', 'start', 'open', 'offer', 'answer', 'candidate', 'send', 'stats', 'close', 'track', 'media'];
const folder = mkdtempSync(`${tmpdir()}/simrtc-chromium-`);
writeFileSync(`${folder}/page.html`, '<!doctype html><title>peer</title>');

// Whatever ends this process, the folder goes.
const cleaner = spawn('sh', ['-c', 'cat; sleep 0.5; rm -rf "$1"', 'sh', folder], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
cleaner.on('error', () => {});
cleaner.unref();

const browser = spawn('chromium', [
    '--headless', '--remote-debugging-pipe', `--user-data-dir=${folder}`, '--no-first-run', '--disable-gpu', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--disable-extensions', '--disable-dev-shm-usage', '--use-fake-ui-for-media-stream',
    '--use-fake-device-for-media-stream', '--autoplay-policy=no-user-gesture-required', ...process.getuid() === 0 ? ['--no-sandbox'] : [], 'about:blank',
], { stdio: ['ignore', 2, 2, 'pipe', 'pipe'], env: { ...process.env, HOME: folder }, detached: true });

process.on('exit', () => {
    try {
        process.kill(-browser.pid, 'SIGKILL'); // all its processes; without us it would end by itself, but later
    } catch { /* it has gone */ }
});
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'])
    process.on(signal, () => process.exit(1));
await new Promise((resolve) => {
    browser.on('spawn', resolve);
    browser.on('error', (error) => unsupported('ci/live-deps all', error));
});
browser.on('exit', (code, signal) => fatal(`Chromium has gone with ${signal ?? code}`));

// A method of DevTools' protocol; both ways each message ends with a zero byte.
const waiting = new Map();
let next_id = 1, rest = [], on_load;
function devtools(method, params, sessionId) {
    const id = next_id++;
    browser.stdio[3].write(JSON.stringify({ id, method, params, sessionId }) + '\0');
    return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

browser.stdio[3].on('error', () => {}); // its end is told by 'exit'
browser.stdio[4].on('data', (data) => {
    for (let end; (end = data.indexOf(0)) >= 0; data = data.subarray(end + 1)) {
        const { id, result, error, method, params } = JSON.parse(Buffer.concat([...rest, data.subarray(0, end)]));
        rest = [];
        if (method === 'Runtime.bindingCalled')
            process.stdout.write(params.payload + '\n');
        else if (method === 'Page.loadEventFired')
            on_load?.();
        else if (error)
            waiting.get(id)?.reject(Error(error.message));
        else
            waiting.get(id)?.resolve(result);
        waiting.delete(id);
    }
    rest.push(data);
});

// Runs in the page.
function page(w3c_commands, about) {
    const say = (event, keys) => globalThis.tell(JSON.stringify({ event, ...keys }));
    const heard = (channel, data) => {
        if (typeof data === 'string')
            return say('message', { channel, text: data });
        let bytes = '';
        for (const byte of new Uint8Array(data))
            bytes += String.fromCharCode(byte);
        say('message', { channel, data: btoa(bytes) });
    };
    const played = [];
    const source = async ({ kind, width, height, fps }) => {
        const wanted = kind === 'audio' ? { audio: true } : { video: { width, height, frameRate: fps } };
        return (await navigator.mediaDevices.getUserMedia(wanted)).getTracks()[0];
    };
    // Only a transform of encoded frames may ask for a key frame; this one lets all pass.
    const transforms = [];
    const worker = new Worker(URL.createObjectURL(new Blob([`const all = [];
        onrtctransform = ({ transformer }) => {
            all[transformer.options] = transformer;
            transformer.readable.pipeTo(transformer.writable);
        };
        onmessage = ({ data }) => all[data].sendKeyFrameRequest();`])));
    const keyframe = async (receiver) => worker.postMessage(transforms.indexOf(receiver));
    const sink = (track, receiver) => { // sound is taken from its buffer only where it is played
        if (track.kind === 'video' && !transforms.includes(receiver))
            receiver.transform = new RTCRtpScriptTransform(worker, transforms.push(receiver) - 1);
        const element = document.createElement(track.kind);
        element.srcObject = new MediaStream([track]);
        element.autoplay = true;
        played.push(element);
    };
    return w3c_commands(RTCPeerConnection, { ...about, source, sink, keyframe }, say, heard);
}

async function ready() {
    const { product } = await devtools('Browser.getVersion', {});
    const { targetId } = await devtools('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await devtools('Target.attachToTarget', { targetId, flatten: true });
    await devtools('Runtime.enable', {}, sessionId);
    await devtools('Page.enable', {}, sessionId);
    await devtools('Runtime.addBinding', { name: 'tell' }, sessionId);
    const loaded = new Promise((resolve) => { on_load = resolve; });
    await devtools('Page.navigate', { url: `file://${folder}/page.html` }, sessionId);
    await loaded;
    const evaluate = async (expression) => {
        const { exceptionDetails } = await devtools('Runtime.evaluate', { expression, awaitPromise: true }, sessionId);
        if (exceptionDetails)
            throw Error((exceptionDetails.exception?.description ?? exceptionDetails.text).split('\n')[0]);
    };
    const about = { stack: 'chromium', version: product.replace(/.*\//, '') };
    await evaluate(`globalThis.commands = (${page})(${w3c_commands}, ${JSON.stringify(about)}); undefined`);
    return evaluate;
}

const browsing = ready();
browsing.catch(fatal);
const forward = (name) => async (command) => (await browsing)(`Promise.resolve(commands.${name}(${JSON.stringify(command)})).then(() => undefined)`);
serve(Object.fromEntries(COMMANDS.map((name) => [name, forward(name)])));
