/** Makes a picture of few colours a third of its size: every pixel becomes the number of a colour in a palette. */
import { crc32, deflateSync, inflateSync } from 'node:zlib'
import { Buffer } from 'node:buffer'

const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')

/** Turns a PNG of eight bits per channel without transparency, as a browser makes it, into one with a palette of 256 colours. */
export function withPalette(png) {
  const chunks = [...chunksOf(png)]
  const header = chunks.find(({ type }) => type === 'IHDR').data
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)]
  const packed = Buffer.concat(chunks.filter(({ type }) => type === 'IDAT').map(({ data }) => data))
  const channels = header[9] === 2 ? 3 : 4
  const pixels = unfiltered(inflateSync(packed), width * channels, channels)
  const counts = new Map()
  const colourAt = (index) => pixels.readUIntBE(index * channels, 3)
  for (let index = 0; index < width * height; index += 1)
    counts.set(colourAt(index), (counts.get(colourAt(index)) ?? 0) + 1)
  const palette = [...counts.keys()].sort((one, other) => counts.get(other) - counts.get(one)).slice(0, 256)
  const numbers = new Map([...counts.keys()].map((colour) => [colour, nearest(palette, colour)]))
  const rows = Buffer.alloc((width + 1) * height)
  for (let index = 0; index < width * height; index += 1) {
    rows[index + Math.floor(index / width) + 1] = numbers.get(colourAt(index))
  }
  const head = Buffer.from(header)
  head[9] = 3
  const colours = Buffer.concat(palette.map((colour) => bytesOf(colour, 3)))
  return Buffer.concat([
    signature,
    chunk('IHDR', head),
    chunk('PLTE', colours),
    chunk('IDAT', deflateSync(rows, { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

function* chunksOf(png) {
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at)
    yield { type: png.toString('latin1', at + 4, at + 8), data: png.subarray(at + 8, at + 8 + length) }
    at += length + 12
  }
}

function chunk(type, data) {
  const content = Buffer.concat([Buffer.from(type, 'latin1'), data])
  return Buffer.concat([bytesOf(data.length, 4), content, bytesOf(crc32(content), 4)])
}

function bytesOf(number, length) {
  const bytes = Buffer.alloc(length)
  bytes.writeUIntBE(number, 0, length)
  return bytes
}

/** Takes back what each row was written as a difference to. */
function unfiltered(bytes, rowLength, pixelLength) {
  const pixels = Buffer.alloc((bytes.length / (rowLength + 1)) * rowLength)
  for (let row = 0; row * rowLength < pixels.length; row += 1) {
    const filter = bytes[row * (rowLength + 1)]
    for (let column = 0; column < rowLength; column += 1) {
      const at = row * rowLength + column
      const left = column < pixelLength ? 0 : pixels[at - pixelLength]
      const up = row === 0 ? 0 : pixels[at - rowLength]
      const upLeft = row === 0 || column < pixelLength ? 0 : pixels[at - rowLength - pixelLength]
      const predicted = [0, left, up, (left + up) >> 1, paeth(left, up, upLeft)][filter]
      pixels[at] = bytes[row * (rowLength + 1) + 1 + column] + predicted
    }
  }
  return pixels
}

function paeth(left, up, upLeft) {
  const estimate = left + up - upLeft
  const [toLeft, toUp, toUpLeft] = [left, up, upLeft].map((value) => Math.abs(estimate - value))
  if (toLeft <= toUp && toLeft <= toUpLeft) return left
  return toUp <= toUpLeft ? up : upLeft
}

function nearest(palette, colour) {
  let [best, least] = [0, Number.POSITIVE_INFINITY]
  palette.forEach((candidate, index) => {
    const distance = [16, 8, 0].reduce(
      (sum, shift) => sum + (((candidate >> shift) & 255) - ((colour >> shift) & 255)) ** 2,
      0,
    )
    if (distance < least) [best, least] = [index, distance]
  })
  return best
}
