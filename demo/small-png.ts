import { crc32, deflateSync, inflateSync } from 'node:zlib'

const SIGNATURE = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')
const COLOURS = 256

/** A screenshot with its 256 most frequent colours, of which a page hardly has more: a byte for each pixel instead of three. */
export function smallPNG (png: Buffer): Buffer {
  const { width, height, pixels } = readPNG(png)
  const counts = new Map<number, number>()
  for (const colour of pixels) counts.set(colour, (counts.get(colour) ?? 0) + 1)
  const palette = [...counts].sort(([, one], [, other]) => other - one).slice(0, COLOURS).map(([colour]) => colour)
  const indices = new Map(palette.map((colour, index) => [colour, index]))

  const rows = Buffer.alloc(height * (width + 1))
  pixels.forEach((colour, n) => {
    const index = indices.get(colour) ?? nearest(palette, colour)
    indices.set(colour, index)
    // each row begins with the number of its filter, 0 for none
    rows[n + Math.floor(n / width) + 1] = index
  })
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  // 8 bits for a pixel, which are an index of the palette
  header.set([8, 3], 8)
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', header),
    chunk('PLTE', Buffer.from(palette.flatMap(parts))),
    chunk('IDAT', deflateSync(rows, { level: 9 })),
    chunk('IEND', Buffer.alloc(0))
  ])
}

/** The colours of a PNG with 8 bits for each of red, green and blue, as Chromium makes them. */
function readPNG (png: Buffer): { width: number, height: number, pixels: Uint32Array } {
  const chunks = new Map<string, Buffer[]>()
  for (let at = SIGNATURE.length; at < png.length; at += 12 + png.readUInt32BE(at)) {
    const name = png.toString('latin1', at + 4, at + 8)
    chunks.set(name, [...chunks.get(name) ?? [], png.subarray(at + 8, at + 8 + png.readUInt32BE(at))])
  }
  const [header = Buffer.alloc(13)] = chunks.get('IHDR') ?? []
  const [width, height, bits, kind] = [header.readUInt32BE(0), header.readUInt32BE(4), header[8], header[9]]
  const bytes = kind === 2 ? 3 : 4
  if (bits !== 8 || (kind !== 2 && kind !== 6)) throw new Error('a PNG of another kind')
  const rows = inflateSync(Buffer.concat(chunks.get('IDAT') ?? []))
  unfilter(rows, width * bytes, bytes)
  const pixels = Uint32Array.from({ length: width * height }, (_, n) => rows.readUIntBE(n * bytes + Math.floor(n / width) + 1, 3))
  return { width, height, pixels }
}

/** Undoes the filters of the rows: each byte is told by how it differs from the one on its left, from the one above, or from both. */
function unfilter (rows: Buffer, length: number, bytes: number): void {
  for (let start = 0; start < rows.length; start += length + 1) {
    const filter = rows[start] ?? 0
    for (let at = start + 1; at <= start + length; at++) {
      const isFirst = at <= start + bytes
      const left = isFirst ? 0 : rows[at - bytes] ?? 0
      const above = start === 0 ? 0 : rows[at - length - 1] ?? 0
      const corner = isFirst || start === 0 ? 0 : rows[at - length - 1 - bytes] ?? 0
      rows[at] = (rows[at] ?? 0) + ([0, left, above, (left + above) >> 1, paeth(left, above, corner)][filter] ?? 0)
    }
  }
}

/** Whichever of the three is nearest to where they lead (https://www.w3.org/TR/png/#9Filter-type-4-Paeth). */
function paeth (left: number, above: number, corner: number): number {
  const [toLeft, toAbove, toCorner] = [Math.abs(above - corner), Math.abs(left - corner), Math.abs(left + above - 2 * corner)]
  if (toLeft <= toAbove && toLeft <= toCorner) return left
  return toAbove <= toCorner ? above : corner
}

function parts (colour: number): [number, number, number] {
  return [colour >> 16, colour >> 8 & 255, colour & 255]
}

function nearest (palette: number[], colour: number): number {
  const [red, green, blue] = parts(colour)
  const distances = palette.map((other) => {
    const [r, g, b] = parts(other)
    return (red - r) ** 2 + (green - g) ** 2 + (blue - b) ** 2
  })
  return distances.indexOf(Math.min(...distances))
}

function chunk (name: string, body: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(name, 'latin1'), body])
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(body.length)
  sum.writeUInt32BE(crc32(named))
  return Buffer.concat([length, named, sum])
}
