// SPDX-License-Identifier: Apache-2.0
// smtp.js IP PORT: smtp-server takes no mail.
const { SMTPServer } = require('smtp-server')
const server = new SMTPServer({ authOptional: true, maxAllowedUnauthenticatedCommands: false })
server.on('error', error => console.error(error))
server.listen(Number(process.argv[3]), process.argv[2])
