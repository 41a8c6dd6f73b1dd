// PROTOCOL.md for an adapter in node: lines in, lines out, one command after the other. An adapter calls `load` for its stack, then `serve`.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const LINE_MAX = 1 << 20;
const TOLD_MAX = 1024; // bytes of a message that are told in full
const LEAVE_MS = 200;  // for the stack's last packets, after close

console.log = console.info = console.debug = console.error; // stdout is for lines alone

export function say(line) {
    process.stdout.write(JSON.stringify(line) + '\n');
}

function one_line(error) {
    return String(error?.message ?? error).replace(/\s+/g, ' ').slice(0, 500);
}

// What a package of npm exports, and its version; without it the adapter ends.
export function load(name) {
    const home = process.env.SIMRTC_LIVE_DEPS ?? fileURLToPath(new URL('../../build/live-deps', import.meta.url));
    try {
        const stack = createRequire(`${home}/npm/from.js`)(name);
        return { stack, version: JSON.parse(readFileSync(`${home}/npm/node_modules/${name}/package.json`)).version };
    } catch (error) {
        say({ is: 'error', text: `${name} is not installed, run ci/live-deps (${one_line(error)})` });
        process.exit(127);
    }
}

// A message that the stack gave out: text or bytes.
export function heard(channel, data) {
    const binary = typeof data !== 'string';
    const bytes = !binary ? Buffer.from(data) : data instanceof ArrayBuffer ? Buffer.from(data) : Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    const line = { is: 'message', channel, binary, size: bytes.length };
    if (bytes.length > TOLD_MAX)
        line.sha256 = createHash('sha256').update(bytes).digest('hex');
    else if (binary)
        line.base64 = bytes.toString('base64');
    else
        line.text = data;
    say(line);
}

// Carry out commands until EOF. `commands` has a function for each `do`: it gets the command and returns, or promises, the keys of the answer.
export function serve(commands) {
    async function carry_out(text) {
        let command;
        try {
            command = JSON.parse(text);
        } catch {
            command = undefined;
        }
        if (command === null || typeof command !== 'object' || Array.isArray(command))
            return say({ is: 'error', text: `expected a JSON object, got: ${text.slice(0, 60)}` });
        const { id, do: name } = command;
        if (!Object.hasOwn(commands, name))
            return say({ is: 'error', text: `unknown command '${name}'`, id });
        const work = Promise.resolve(command).then(commands[name]).then(
            (keys) => say({ is: 'done', ...keys, id }),
            (error) => say({ is: 'error', text: `${name}: ${one_line(error)}`, id }));
        if (name !== 'send') // the network may hold it up
            await work;
        if (name === 'close' && command.channel === undefined)
            setTimeout(() => process.exit(0), LEAVE_MS);
    }

    let before = Promise.resolve(), rest = '';
    process.stdin.setEncoding('utf8');
    process.stdin.on('data', (data) => {
        const lines = (rest + data).split('\n');
        rest = lines.pop();
        for (const line of lines)
            before = before.then(() => carry_out(line));
        if (rest.length > LINE_MAX) {
            say({ is: 'error', text: `a line is longer than ${LINE_MAX} bytes` });
            process.exit(1);
        }
    });
    process.stdin.on('end', () => process.exit(0));
    process.stdout.on('error', () => process.exit(1)); // nobody listens any more
    for (const event of ['uncaughtException', 'unhandledRejection'])
        process.on(event, (error) => {
            console.error(error);
            say({ is: 'error', text: one_line(error) });
            process.exit(1);
        });
}
