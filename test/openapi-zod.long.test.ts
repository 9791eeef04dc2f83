import { test } from 'tap'
import { parse } from 'yaml'
import { published } from './openapi-app.js'
import { faults } from './openapi-validators.js'
import { build, versions } from './openapi-zod-app.js'

test('the documents are valid, and the same in JSON and YAML', async (t) => {
  const documents = await Promise.all(versions.map(async (version) => {
    const app = await build(version)
    t.teardown(() => app.close())
    t.strictSame(parse(app.swagger({ yaml: true })), published(app.swagger()))
    return published(app.swagger())
  }))
  t.strictSame(await faults(...documents), [])
})
