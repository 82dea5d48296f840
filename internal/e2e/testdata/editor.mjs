// Has the language server with which editors check YAML read files, and says of each what it finds wrong, and what it proposes at its end.
// LIBRARY is the server's entry point. It gets the schema, which is SCHEMA, at ADDRESS alone. CATALOG is an entry of SchemaStore's, if there is one.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const require = createRequire(process.env.LIBRARY);
const { getLanguageService } = require(process.env.LIBRARY);
const { TextDocument } = require("vscode-languageserver-textdocument");

const schema = readFileSync(process.env.SCHEMA, "utf8");
const service = getLanguageService({
  schemaRequestService: (uri) => (uri === process.env.ADDRESS ? Promise.resolve(schema) : Promise.reject(`no schema at ${uri}`)),
  workspaceContext: { resolveRelativePath: (path) => path },
});
const { url, fileMatch } = JSON.parse(process.env.CATALOG ?? "{}");
service.configure({ validate: true, completion: true, schemas: url ? [{ uri: url, fileMatch }] : [] });

for (const file of process.argv.slice(2)) {
  const text = readFileSync(file, "utf8");
  const document = TextDocument.create(`file://${resolve(file)}`, "yaml", 1, text);
  for (const { message, range } of await service.doValidation(document, false)) console.log(`${file}:${range.start.line + 1}: ${message}`);
  const { items } = await service.doComplete(document, document.positionAt(text.length), false);
  console.log(`${file}: proposed: ${items.map((item) => item.label).join(" ")}`);
}
