// `node --import ./loopback.mjs PROGRAM`: binds every listener of the program to loopback, and ends it
// when its stdin is closed.

import net from 'node:net';

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
  const ready = rest.find((argument) => typeof argument === 'function');
  return listen.call(this, { port: Number(port), host: '127.0.0.1' }, ready);
};

process.stdin.on('end', () => process.exit()).resume();
for (const name of ['log', 'info', 'debug']) console[name] = () => {};
