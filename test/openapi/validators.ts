import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { validate } from '@hyperjump/json-schema/openapi-3-2'
import '@hyperjump/json-schema/openapi-3-1'
import '@hyperjump/json-schema/openapi-3-0'
import { Validator } from '@seriousme/openapi-schema-validator'

type Document = Record<string, unknown>

const metaschemas: Record<string, string> = {
  '3.0': 'https://spec.openapis.org/oas/3.0/schema',
  3.1: 'https://spec.openapis.org/oas/3.1/schema-base',
  3.2: 'https://spec.openapis.org/oas/3.2/schema-base'
}

/**
 * Returns the faults that three validators find in OpenAPI documents: @seriousme/openapi-schema-validator and @redocly/cli for
 * all versions, @hyperjump/json-schema for 3.x. @redocly/cli also follows references.
 */
export async function faults (...documents: Document[]): Promise<string[]> {
  const found: string[] = []
  for (const document of documents) {
    const version = String(document.openapi ?? document.swagger)
    const json = JSON.stringify(document)
    const { valid, errors } = await new Validator().validate(JSON.parse(json))
    if (!valid) found.push(`@seriousme, ${version}: ${JSON.stringify(errors)}`)
    const metaschema = metaschemas[version.slice(0, 3)]
    if (metaschema === undefined) continue
    const output = await validate(metaschema, JSON.parse(json), 'BASIC')
    if (!output.valid) found.push(`@hyperjump, ${version}: ${JSON.stringify(output.errors)}`)
  }
  found.push(...await lint(documents))
  return found
}

async function lint (documents: Document[]): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'openapi-'))
  try {
    const files = documents.map((_document, index) => join(folder, `${index}.json`))
    await Promise.all(files.map((file, index) => writeFile(file, JSON.stringify(documents[index]))))
    const cli = join(dirname(createRequire(import.meta.url).resolve('@redocly/cli/package.json')), 'bin/cli.js')
    const { PATH, HOME } = process.env
    await promisify(execFile)(process.execPath, [cli, 'lint', '--extends=spec', '--format=stylish', ...files], {
      cwd: folder,
      env: { PATH, HOME, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' }
    })
    return []
  } catch (error) {
    return [`@redocly: ${error instanceof Error && 'stdout' in error ? error.stdout : error}`]
  } finally {
    await rm(folder, { recursive: true })
  }
}
