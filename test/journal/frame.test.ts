import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeFrame, findFrame, frameCapacity, payloadText, readFrame } from '../../src/journal/frame.js'
import { encodeMark, readMark } from '../../src/journal/mark.js'

function frameOf(text: string, firstSequence = 1, count = 1): Buffer {
  const target = Buffer.alloc(frameCapacity(text))
  return target.subarray(0, encodeFrame(target, { text, firstSequence, count }))
}

describe('a frame', () => {
  it('[T-51] has version, length, sequence, count, checksum and payload at fixed places, little-endian', () => {
    expect(frameOf('7', 2 ** 32 + 5, 3).toString('hex')).toBe(
      ['01000000', '01000000', '0500000001000000', '03000000', 'd9f531ac', '37'].join(''),
    )
  })

  it('[T-51] comes back as it was written, and encoding twice gives equal bytes', () => {
    fc.assert(
      fc.property(fc.json(), fc.integer({ min: 1 }), fc.nat(9), (text, firstSequence, count) => {
        const bytes = frameOf(text, firstSequence, count)
        expect(frameOf(text, firstSequence, count)).toEqual(bytes)
        const payloadBytes = bytes.length - 24
        const header = { offset: 0, payloadBytes, firstSequence, count }
        expect(readFrame(bytes, 0)).toEqual({ status: 'frame', header, end: bytes.length })
        expect(payloadText(bytes, header)).toBe(text)
      }),
    )
  })

  it('[T-52] is refused whichever single bit of it is flipped', () => {
    const whole = frameOf('{"operation":"ä"}')
    for (let bit = 0; bit < 8 * whole.length; bit += 1) {
      const bytes = Buffer.from(whole)
      bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      expect(readFrame(bytes, 0).status, `bit ${bit}`).toBe('bad')
    }
  })

  it.each([
    ['a header cut short', frameOf('"abc"').subarray(0, 23), 'incomplete_header'],
    ['a payload cut short by the end of the file', frameOf('"abc"').subarray(0, -1), 'incomplete_payload'],
    ['a payload cut short in preallocated space', zeroed(frameOf('"abcdef"'), 28), 'incomplete_payload'],
    ['a header cut short in preallocated space', zeroed(frameOf('"abcdef"'), 0, 3), 'incomplete_header'],
    ['another version', patched(frameOf('"abc"'), 0, 2), 'unsupported_version'],
    ['another version, cut short', patched(frameOf('"abc"'), 0, 2).subarray(0, 26), 'unsupported_version'],
    ['a changed payload', patched(frameOf('"abc"'), 25, 0x7a), 'crc_mismatch'],
    ['[T-157] a length beyond the limit', patched(frameOf('"abc"'), 7, 0x7f), 'decode_failure'],
  ])('[T-53] %s is named', (_, bytes, reason) => {
    expect(readFrame(bytes, 0)).toEqual({ status: 'bad', reason })
  })

  it('ends the log where there are only zeros', () => {
    expect(readFrame(Buffer.alloc(100), 10)).toEqual({ status: 'end' })
    expect(readFrame(Buffer.alloc(5), 0)).toEqual({ status: 'end' })
    expect(readFrame(Buffer.alloc(0), 0)).toEqual({ status: 'end' })
  })

  it('is found at any distance, and never inside a payload', () => {
    fc.assert(
      fc.property(fc.json(), fc.nat(50), (text, distance) => {
        const payload = JSON.stringify(frameOf(text).toString('latin1'))
        const bytes = Buffer.concat([frameOf(payload), Buffer.alloc(distance), frameOf(text)])
        expect(findFrame(bytes, 1)).toBe(bytes.length - frameOf(text).length)
      }),
    )
  })
})

describe('a mark', () => {
  it('says what it is for and carries one number', () => {
    const bytes = encodeMark('segment', 2 ** 40 + 1)
    expect(bytes.toString('latin1', 0, 8)).toBe('STWJSEGM')
    expect(bytes.toString('hex', 8, 20)).toBe('010000000100000000010000')
    expect(readMark(bytes, 'segment')).toEqual({ number: 2 ** 40 + 1 })
  })

  it.each([
    ['cut short', encodeMark('segment', 1).subarray(0, 23), 'incomplete_header'],
    ['of another kind', encodeMark('snapshot', 1), 'decode_failure'],
    ['of another version', patched(encodeMark('segment', 1), 8, 2), 'unsupported_version'],
    ['with another number', patched(encodeMark('segment', 1), 12, 2), 'crc_mismatch'],
  ])('%s is refused', (_, bytes, reason) => {
    expect(readMark(bytes, 'segment')).toEqual({ reason })
  })
})

function patched(bytes: Buffer, offset: number, value: number): Buffer {
  bytes.writeUInt8(value, offset)
  return bytes
}

function zeroed(bytes: Buffer, start: number, end = bytes.length): Buffer {
  return bytes.fill(0, start, end)
}
