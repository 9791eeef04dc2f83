import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { documentOf, VERSIONS } from '../demo/documents.js'
import { build } from '../demo/server.js'

/** Writes the demo's documents, one per version of OpenAPI, to the folder given as first argument, by default to this one. */
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
