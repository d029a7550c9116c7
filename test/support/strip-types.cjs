// Jest's transformer: the same type stripping that Node does when it runs the server, and nothing else.
const { stripTypeScriptTypes } = require('node:module');

module.exports = { process: (source) => ({ code: stripTypeScriptTypes(source) }) };
