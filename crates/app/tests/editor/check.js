// Says what a validator and a language server make of manifests with a schema.
//
// node check.js FOLDER SCHEMA < documents.json
//
// FOLDER is what install.sh printed. Each document is { text, complete? }, where `complete` is the position { line,
// character } at which a completion is asked for. Printed is, for each document, { errors, diagnostics, completions }.
'use strict';

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const { createRequire } = require('node:module');
const path = require('node:path');
const { pathToFileURL } = require('node:url');

const [folder, schemaFile] = process.argv.slice(2).map(argument => path.resolve(argument));
const installed = createRequire(path.join(folder, 'package.json'));

// Keywords of editors, which no validator knows.
const EDITOR_KEYWORDS = ['deprecationMessage', 'doNotSuggest', 'enumDescriptions', 'patternErrorMessage'];

function validator() {
    const Ajv = installed('ajv').default;
    const ajv = new Ajv({ strict: true, strictRequired: false, allErrors: true });
    installed('ajv-formats')(ajv);
    ajv.addVocabulary(EDITOR_KEYWORDS);
    return ajv.compile(JSON.parse(fs.readFileSync(schemaFile, 'utf8')));
}

// The errors of all YAML documents of a text.
function errors(validate, text) {
    return installed('yaml').parseAllDocuments(text).flatMap(document => {
        validate(document.toJS());
        return (validate.errors ?? []).map(error => `${error.instancePath} ${error.message}`);
    });
}

class LanguageServer {
    static async start() {
        const rpc = installed('vscode-jsonrpc/node');
        const program = installed.resolve('yaml-language-server/bin/yaml-language-server');
        const server = new LanguageServer();
        server.child = spawn(process.execPath, [program, '--stdio'], { stdio: ['pipe', 'pipe', 'inherit'] });
        server.connection = rpc.createMessageConnection(
            new rpc.StreamMessageReader(server.child.stdout), new rpc.StreamMessageWriter(server.child.stdin));
        server.waiting = new Map();
        server.connection.onRequest('workspace/configuration', ({ items }) => items.map(item => setting(item.section)));
        server.connection.onRequest('client/registerCapability', () => null);
        server.connection.onNotification('textDocument/publishDiagnostics', ({ uri, diagnostics }) => {
            server.waiting.get(uri)?.(diagnostics);
        });
        server.connection.listen();
        await server.connection.sendRequest('initialize', {
            processId: process.pid,
            rootUri: null,
            capabilities: {
                workspace: { configuration: true, didChangeConfiguration: { dynamicRegistration: true } },
                textDocument: {
                    completion: { completionItem: { snippetSupport: true } },
                    publishDiagnostics: {},
                },
            },
        });
        await server.connection.sendNotification('initialized', {});
        return server;
    }

    // Opens a document, which nobody has to have on disk, and waits until it was looked at.
    open(uri, text) {
        const looked = new Promise(resolve => this.waiting.set(uri, resolve));
        const textDocument = { uri, languageId: 'yaml', version: 1, text };
        this.connection.sendNotification('textDocument/didOpen', { textDocument });
        return looked;
    }

    async complete(uri, position) {
        const answer = await this.connection.sendRequest('textDocument/completion', { textDocument: { uri }, position });
        return answer.items.map(item => item.label);
    }

    async stop() {
        await this.connection.sendRequest('shutdown');
        await this.connection.sendNotification('exit');
        this.connection.dispose();
        this.child.kill();
    }
}

// What the user's settings would be. Nothing is asked of the network.
function setting(section) {
    return section === 'yaml' && {
        schemas: { [pathToFileURL(schemaFile)]: ['*.yaml'] },
        schemaStore: { enable: false },
        kubernetesCRDStore: { enable: false },
        validate: true,
        completion: true,
    };
}

function diagnostic(text, { range, message }) {
    const line = text.split('\n')[range.start.line];
    return { line: range.start.line + 1, word: line.slice(range.start.character, range.end.character), message };
}

async function main() {
    const documents = JSON.parse(fs.readFileSync(0, 'utf8'));
    const validate = validator();
    const server = await LanguageServer.start();
    const results = [];
    for (const [index, { text, complete }] of documents.entries()) {
        // Not beside the schema: patterns match no file below a hidden folder, as temporary ones are.
        const uri = `file:///manifests/${index}.yaml`;
        const diagnostics = await server.open(uri, text);
        results.push({
            errors: errors(validate, text),
            diagnostics: diagnostics.map(one => diagnostic(text, one)),
            completions: complete ? await server.complete(uri, complete) : [],
        });
    }
    await server.stop();
    process.stdout.write(JSON.stringify(results));
}

main().catch(error => {
    console.error(error);
    process.exit(1);
});
