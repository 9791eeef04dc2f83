import type { Received } from './clients.js'

/** The bytes of a stream and the events that the standard's parser reads from it. */
export type ByteCase = [stream: string | Uint8Array, events: Received[]]

const message = (data: string, lastEventId = '', event = 'message'): Received => ({ event, data, lastEventId })
const bytes = (...parts: Array<string | number[]>) => Buffer.concat(parts.map((part) => typeof part === 'string' ? Buffer.from(part) : Buffer.from(part)))

export const byteCases: ByteCase[] = [
  // line breaks, mixed, up to the last byte
  ['data:test\r\ndata\ndata:test\r\n\r', [message('test\n\ntest')]],
  ['data:1\r\r', [message('1')]],
  ['data:1\n\r', [message('1')]],
  ['data:1\r\n\r\n', [message('1')]],
  ['data:1\r\n\n', [message('1')]],
  ['data:1\r\n\rdata:2\n\r\n', [message('1'), message('2')]],
  ['data:1\r\rdata:2\r\r\ndata:3\r\r', [message('1'), message('2'), message('3')]],
  ['\n\r\r\n\n\ndata:1\n\n\n\n', [message('1')]],
  // an event without a blank line after it is dropped
  ['data:1\n\ndata:2\n', [message('1')]],
  ['data:1\n\ndata:2', [message('1')]],
  ['data:1\r\n', []],
  ['', []],
  ['\n', []],
  // fields
  [
    'data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n',
    [message('\0\n 2\n1\n3\n\n4')]
  ],
  ['data:msg\ndata: msg\n\n:\nfalsefield:msg\n\nfalsefield:msg\nData:data\n\ndata\n\ndata:end\n\n', [message('msg\nmsg'), message(''), message('end')]],
  ['data\n\n', [message('')]],
  ['data:\n\n', [message('')]],
  ['data: \n\n', [message('')]],
  ['data:  \n\n', [message(' ')]],
  ['data:\t1\n\n', [message('\t1')]],
  ['data\ndata\n\n', [message('\n')]],
  ['data:\ndata:\ndata:\n\n', [message('\n\n')]],
  ['data :1\n\n data:1\n\nDATA:1\n\n\tdata:1\n\ndata\0:1\n\ndat:1\n\ndata1\n\n', []],
  ['data:1:2: 3\n\n', [message('1:2: 3')]],
  ['::data:1\n:\n:data:2\ndata:3\n\n', [message('3')]],
  // a comment neither keeps nor ends an event
  ['data:1\n:\ndata:2\n\n', [message('1\n2')]],
  // names
  ['event: a\ndata:1\n\ndata:2\n\n', [message('1', '', 'a'), message('2')]],
  ['data:1\nevent:a\n\n', [message('1', '', 'a')]],
  ['event:a\nevent: b\ndata:1\n\n', [message('1', '', 'b')]],
  ['event:a\nevent:\ndata:1\n\n', [message('1')]],
  ['event:a\nevent\ndata:1\n\n', [message('1')]],
  ['event:a\n\ndata:1\n\n', [message('1')]],
  ['event:  a\ndata:1\n\n', [message('1', '', ' a')]],
  ['event:error\ndata:1\n\nevent:open\ndata:2\n\n', [message('1', '', 'error'), message('2', '', 'open')]],
  // ids
  ['id: 1\ndata: 1\n\nid:\ndata:2\n\ndata:3\n\n', [message('1', '1'), message('2'), message('3')]],
  ['id:1\ndata:1\n\nid\ndata:2\n\n', [message('1', '1'), message('2')]],
  ['data:1\nid:1\n\n', [message('1', '1')]],
  ['id:1\nid:2\ndata:1\n\n', [message('1', '2')]],
  ['id:1\0\ndata:1\n\n', [message('1')]],
  ['id:1\nid:\0\ndata:1\n\n', [message('1', '1')]],
  ['id:  1\ndata:1\n\n', [message('1', ' 1')]],
  ['ID:1\nid :2\ndata:1\n\n', [message('1')]],
  ['id: …\nevent: é\ndata: 𝄞\n\n', [message('𝄞', '…', 'é')]],
  // byte order marks: the first is not part of the text
  ['\uFEFFdata:1\n\ndata:2\n\n', [message('1'), message('2')]],
  ['\uFEFF\uFEFFdata:1\n\ndata:2\n\n', [message('2')]],
  ['data:1\n\n\uFEFFdata:2\n\ndata:3\n\n', [message('1'), message('3')]],
  ['\n\uFEFFdata:1\n\n', []],
  ['data:\uFEFF1\n\n', [message('\uFEFF1')]],
  ['\uFEFF', []],
  ['\u00EF\u00BB\u00BFdata:1\n\ndata:2\n\n', [message('2')]],
  // invalid UTF-8
  [bytes('data:', [0xFF, 0xFE], '\n\n'), [message('\uFFFD\uFFFD')]],
  [bytes('data:', [0xE2, 0x80], '\ndata:', [0xF0, 0x9D, 0x84], '\n\n'), [message('\uFFFD\n\uFFFD')]],
  [bytes('data:', [0xC0, 0x80, 0xED, 0xA0, 0x80], '\n\n'), [message('\uFFFD'.repeat(5))]],
  [bytes('data:', [0xE9], '1\n\n'), [message('\uFFFD1')]],
  // characters of four bytes, one after the other
  [`data:${'x𝄞'.repeat(50)}\n\n`, [message('x𝄞'.repeat(50))]]
]

/** Streams whose ids apply to later events too, which some clients do not report. */
export const heldIds: ByteCase[] = [
  ['id:1\n\ndata:2\n\n', [message('2', '1')]],
  ['id:1\ndata:1\n\ndata:2\n\n', [message('1', '1'), message('2', '1')]],
  ['id:1\nevent:a\n\n:\n\ndata:2\n\n', [message('2', '1')]],
  ['id:1\n\nid\n\ndata:2\n\n', [message('2')]]
]
