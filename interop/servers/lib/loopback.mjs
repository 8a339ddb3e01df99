// The shared code of the Node servers; `loopback.py` describes the protocol.

import net from 'node:net';
import readline from 'node:readline';

export const host = '127.0.0.1';
export const origin = (port) => `http://${host}:${port}`;

// The pairs of the command line: the port to listen on, and the port that clients connect to.
const numbers = process.argv.slice(2, 6).map(Number);
export const [mcp, authorization] = [0, 2].map((at) => ({ listen: numbers[at], public: numbers[at + 1] }));

// For servers that choose their own address: binds every listener to loopback, and listens on the
// `listen` port where the server binds the public one.
export function bindLoopback() {
  const listen = net.Server.prototype.listen;
  const shifted = new Map([mcp, authorization].map((port) => [port.public, port.listen]));
  net.Server.prototype.listen = function (first, ...rest) {
    const port = typeof first === 'object' ? first.port : Number(first);
    const ready = rest.find((argument) => typeof argument === 'function');
    return listen.call(this, { port: shifted.get(port) ?? port, host }, ready);
  };
}

// stdout is for the protocol; messages of the server would break it.
for (const name of ['log', 'info', 'debug']) console[name] = () => {};
const write = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

export async function run(version, active, expire = async () => 0) {
  write({ version });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    if ('active' in request) write({ active: Boolean(await active(request.active)) });
    else write({ expired: await expire(request.expire) });
  }
  process.exit(0);
}
