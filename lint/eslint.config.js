import neostandard from 'neostandard'

export default neostandard({
  ts: true,
  ignores: ['dist/**', 'site/dist/**', 'site/pages/**', 'site/cache/**', '.tap/**', 'openapi/*.json']
})
