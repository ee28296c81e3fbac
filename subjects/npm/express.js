// SPDX-License-Identifier: Apache-2.0
// express.js IP PORT: Express answers each request with ok.
const server = require('express')()
server.get('/', (request, response) => response.send('ok\n'))
server.listen(Number(process.argv[3]), process.argv[2])
