import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { build } from '../examples/server.js'

/** Writes the documents of the examples, one for each version of OpenAPI, into this folder or the one that is named as first argument. */
const folder = process.argv[2] ?? import.meta.dirname

for (const openapi of ['3.0.3', '3.1.0', '3.2.0'] as const) {
  const app = build({ openapi })
  await app.ready()
  const name = `openapi-${openapi.slice(0, 3)}`
  await writeFile(resolve(folder, `${name}.json`), `${JSON.stringify(app.swagger(), null, 2)}\n`)
  await writeFile(resolve(folder, `${name}.yaml`), app.swagger({ yaml: true }))
  await app.close()
}
