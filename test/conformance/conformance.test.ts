import t from 'tap'
import { inNode } from './clients.js'
import { conforms } from './conforms.js'

await conforms(() => inNode(t))
