import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { documentOf, VERSIONS } from '../examples/documents.js'
import { build } from '../examples/server.js'

/** Writes the documents of the examples, one for each version of OpenAPI, into this folder or the one that is named as first argument. */
const folder = process.argv[2] ?? import.meta.dirname

const app = build()
await app.ready()
for (const version of VERSIONS) {
  const document = documentOf(app, version)
  const file = resolve(folder, `openapi-${version.slice(0, 3)}`)
  await writeFile(`${file}.json`, `${JSON.stringify(document(), null, 2)}\n`)
  await writeFile(`${file}.yaml`, document({ yaml: true }))
}
await app.close()
