import { test } from 'tap'
import { parse } from 'yaml'
import { published } from './app.js'
import { faults } from './validators.js'
import { build, versions } from './zod-app.js'

test('documents of zod schemas are valid, and equal in JSON and YAML', async (t) => {
  const documents = await Promise.all([true, false].flatMap((withTransform) => versions.map(async (version) => {
    const app = await build(version, withTransform)
    t.teardown(() => app.close())
    t.strictSame(parse(app.swagger({ yaml: true })), published(app.swagger()))
    return published(app.swagger())
  })))
  t.strictSame(await faults(...documents), [])
})
