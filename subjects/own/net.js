// SPDX-License-Identifier: Apache-2.0
// net.js IP PORT: an echo server on node's net whose connections have no 'error' listener: the
// first one that is reset is the end of the program.
require('net').createServer(c => c.on('data', bytes => c.write(bytes))).listen(process.argv[3], process.argv[2])
