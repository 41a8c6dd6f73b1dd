// The protocol for an adapter in node: lines in, lines out, one command after the other. An adapter calls `load` for its stack, then `serve`.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const LINE_MAX = 1 << 20;

console.log = console.info = console.debug = console.error; // stdout is for lines alone

export function say(event, keys) {
    process.stdout.write(JSON.stringify({ event, ...keys }) + '\n');
}

export function one_line(error) {
    return String(error?.message ?? error).replace(/\s+/g, ' ').slice(0, 500);
}

// Where ci/live-deps puts things.
export const home = process.env.SIMRTC_LIVE_DEPS ?? fileURLToPath(new URL('../../build/live-deps', import.meta.url));

export function unsupported(install, why) {
    console.error(why);
    say('unsupported', { install });
    process.exit(127);
}

// What a package of npm exports, and its version; without it the adapter ends.
export function load(name) {
    try {
        const stack = createRequire(`${home}/npm/from.js`)(name);
        return { stack, version: JSON.parse(readFileSync(`${home}/npm/node_modules/${name}/package.json`)).version };
    } catch (error) {
        return unsupported('ci/live-deps', error);
    }
}

// A message that the stack gave out: text or bytes.
export function heard(channel, data) {
    if (typeof data === 'string')
        return say('message', { channel, text: data });
    const bytes = data instanceof ArrayBuffer ? Buffer.from(data) : Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    say('message', { channel, data: bytes.toString('base64') });
}

export function fatal(error) {
    console.error(error);
    say('error', { text: one_line(error), fatal: true });
    process.exit(1);
}

// Carry out commands until EOF. `commands` has a function for each `do`; one that promises is waited for.
export function serve(commands) {
    async function carry_out(text) {
        let command;
        try {
            command = JSON.parse(text);
        } catch {
            command = undefined;
        }
        const name = command?.do;
        if (typeof name !== 'string' || !Object.hasOwn(commands, name))
            return say('error', { text: `no command that is known: ${one_line(text.slice(0, 80))}`, fatal: false });
        try {
            await commands[name](command);
        } catch (error) {
            say('error', { text: `${name}: ${one_line(error)}`, fatal: false });
        }
    }

    let before = Promise.resolve(), rest = '';
    process.stdin.setEncoding('utf8');
    process.stdin.on('data', (data) => {
        const lines = (rest + data).split('\n');
        rest = lines.pop();
        for (const line of lines)
            before = before.then(() => carry_out(line));
        if (rest.length > LINE_MAX)
            fatal(`a line of more than ${LINE_MAX} bytes`);
    });
    process.stdin.on('end', () => process.exit(0));
    process.stdout.on('error', () => process.exit(1)); // nobody listens any more
    process.on('uncaughtException', fatal);
    process.on('unhandledRejection', fatal);
}
