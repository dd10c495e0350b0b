import { readUuid, spellUuid, uuidPattern } from '../base/ids.js'

/** First byte of a packed value. Higher bytes are small numbers, or words seen before. */
const tag = {
  null: 0,
  false: 1,
  true: 2,
  double: 3,
  natural: 4,
  later: 5,
  earlier: 6,
  latin1: 7,
  utf16: 8,
  uuid: 9,
  list: 10,
  object: 11,
  keyed: 12,
} as const
const firstNumber = 16
const firstWord = 128

/** Whole numbers from here on are written as the difference from the previous one: most are instants. */
const farNumber = 2 ** 31
/** Maximum number of words and shapes that are remembered. There are few, unless users make them up. */
const mostWords = 256 - firstWord
const mostShapes = 4096
const longestWord = 32
/** Bytes that any value needs at most, without the values in it and the characters of a text. */
const roomForOne = 32

/** The keys of an object, as a node of a tree: its parent has all keys but the last. */
interface Shape {
  readonly keys: readonly string[]
  readonly following: Map<string, Shape>
  /** Its index in the list of shapes, once an object of this shape has been packed. */
  place: number | undefined
}

/**
 * Packs plain values of one kind, such as rows, into short strings: a fraction of their size as objects, and nothing
 * for the garbage collector to traverse. Each character is one byte. Words and the shapes of objects are remembered
 * and written as numbers, so a value can only be unpacked by the packer that packed it.
 *
 *     const packer = new Packer()
 *     const text = packer.pack({ state: 'completed', atMs: 1_700_000_000_000 })
 *     packer.unpack(text) // an equal value
 *
 * Values consist of objects, arrays, strings, numbers, booleans and null. Fields that are `undefined` are left out;
 * negative zero becomes zero.
 */
export class Packer {
  readonly #words: string[] = []
  readonly #wordPlaces = new Map<string, number>()
  readonly #root: Shape = { keys: [], following: new Map(), place: undefined }
  readonly #shapes: Shape[] = []
  /** Number of remembered shapes, including the inner nodes of the tree. */
  #shapeCount = 0
  readonly #uuid = Buffer.alloc(16)
  #bytes = Buffer.alloc(1024)
  #end = 0
  /** The state of the current `unpack`. */
  #text = ''
  #at = 0
  #far = 0

  /** Packs a value. Throws a `TypeError` for unsupported types. */
  pack(value: unknown): string {
    this.#end = 0
    this.#far = 0
    this.#write(value)
    return this.#bytes.toString('latin1', 0, this.#end)
  }

  /** Returns a new copy of the packed value. */
  unpack(text: string): unknown {
    this.#text = text
    this.#at = 0
    this.#far = 0
    return this.#read()
  }

  #write(value: unknown): void {
    // For all but long texts, so that not every byte needs to ask.
    if (this.#end + roomForOne > this.#bytes.length) this.#makeRoom(roomForOne)
    if (typeof value === 'string') this.#writeText(value)
    else if (typeof value === 'number') this.#writeNumber(value)
    else if (typeof value === 'boolean') this.#bytes[this.#end++] = value ? tag.true : tag.false
    else if (value === null) this.#bytes[this.#end++] = tag.null
    else if (Array.isArray(value)) this.#writeList(value)
    else if (typeof value === 'object') this.#writeObject(value as Readonly<Record<string, unknown>>)
    else throw new TypeError(`cannot pack a ${typeof value}`)
  }

  #writeText(value: string): void {
    const word = this.#wordPlaces.get(value)
    if (word !== undefined) return void (this.#bytes[this.#end++] = firstWord + word)
    if (uuidPattern.test(value)) {
      this.#bytes[this.#end++] = tag.uuid
      readUuid(value, this.#bytes, this.#end)
      this.#end += 16
      return
    }
    if (value.length <= longestWord && this.#words.length < mostWords) {
      this.#wordPlaces.set(value, this.#words.length)
      this.#bytes[this.#end++] = firstWord + this.#words.push(value) - 1
      return
    }
    const encoding = isLatin1(value) ? 'latin1' : 'utf16le'
    this.#bytes[this.#end++] = tag[encoding === 'latin1' ? 'latin1' : 'utf16']
    this.#writeNatural(value.length)
    this.#makeRoom(2 * value.length)
    this.#end += this.#bytes.write(value, this.#end, encoding)
  }

  #writeNumber(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) {
      this.#bytes[this.#end++] = tag.double
      this.#end = this.#bytes.writeDoubleLE(value, this.#end)
    } else if (value < firstWord - firstNumber) {
      this.#bytes[this.#end++] = firstNumber + value
    } else if (value < farNumber) {
      this.#bytes[this.#end++] = tag.natural
      this.#writeNatural(value)
    } else {
      const distance = value - this.#far
      this.#far = value
      this.#bytes[this.#end++] = distance < 0 ? tag.earlier : tag.later
      this.#writeNatural(Math.abs(distance))
    }
  }

  #writeList(values: readonly unknown[]): void {
    this.#bytes[this.#end++] = tag.list
    this.#writeNatural(values.length)
    for (const value of values) this.#write(value)
  }

  #writeObject(value: Readonly<Record<string, unknown>>): void {
    let shape: Shape | undefined = this.#root
    let count = 0
    for (const key in value) {
      if (value[key] === undefined) continue
      count += 1
      shape = shape && (shape.following.get(key) ?? this.#addShape(shape, key))
    }
    if (shape === undefined) {
      this.#bytes[this.#end++] = tag.keyed
      this.#writeNatural(count)
    } else {
      this.#bytes[this.#end++] = tag.object
      shape.place ??= this.#shapes.push(shape) - 1
      this.#writeNatural(shape.place)
    }
    for (const key in value) {
      const content = value[key]
      if (content === undefined) continue
      if (shape === undefined) this.#write(key)
      this.#write(content)
    }
  }

  /** A new shape with one more key; `undefined` if no more shapes can be remembered. */
  #addShape({ keys, following }: Shape, key: string): Shape | undefined {
    if (this.#shapeCount === mostShapes) return undefined
    this.#shapeCount += 1
    const made: Shape = { keys: [...keys, key], following: new Map(), place: undefined }
    following.set(key, made)
    return made
  }

  /** Variable length: seven bits per byte, lowest first. The eighth bit says that more follow. */
  #writeNatural(value: number): void {
    let rest = value
    while (rest >= 0x80) {
      this.#bytes[this.#end++] = (rest % 0x80) + 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#bytes[this.#end++] = rest
  }

  #makeRoom(bytes: number): void {
    if (this.#end + bytes <= this.#bytes.length) return
    this.#bytes = Buffer.concat([this.#bytes], 2 * (this.#end + bytes))
  }

  #read(): unknown {
    const first = this.#readByte()
    if (first >= firstWord) return this.#words[first - firstWord]
    if (first >= firstNumber) return first - firstNumber
    switch (first) {
      case tag.null:
        return null
      case tag.false:
        return false
      case tag.true:
        return true
      case tag.double:
        return this.#readDouble()
      case tag.natural:
        return this.#readNatural()
      case tag.later:
        return (this.#far += this.#readNatural())
      case tag.earlier:
        return (this.#far -= this.#readNatural())
      case tag.latin1:
        return this.#readLatin1()
      case tag.utf16:
        return this.#readUtf16()
      case tag.uuid:
        for (let place = 0; place < 16; place += 1) this.#uuid[place] = this.#readByte()
        return spellUuid(this.#uuid)
      case tag.list:
        return Array.from({ length: this.#readNatural() }, () => this.#read())
      case tag.object:
        return this.#readObject((this.#shapes[this.#readNatural()] as Shape).keys)
      default:
        return this.#readKeyed()
    }
  }

  #readObject(keys: readonly string[]): unknown {
    const value: Record<string, unknown> = {}
    for (const key of keys) {
      if (key === '__proto__') this.#readInto(value, key)
      else value[key] = this.#read()
    }
    return value
  }

  #readKeyed(): unknown {
    const value: Record<string, unknown> = {}
    for (let left = this.#readNatural(); left > 0; left -= 1) {
      this.#readInto(value, this.#read() as string)
    }
    return value
  }

  /** Defines the property instead of assigning it: assigning `__proto__` would call a setter. */
  #readInto(value: object, key: string): void {
    Object.defineProperty(value, key, { value: this.#read(), enumerable: true, configurable: true, writable: true })
  }

  #readLatin1(): string {
    const length = this.#readNatural()
    this.#at += length
    return this.#text.slice(this.#at - length, this.#at)
  }

  #readUtf16(): string {
    const units = Array.from({ length: this.#readNatural() }, () => this.#readByte() + 0x100 * this.#readByte())
    return Buffer.from(Uint16Array.from(units).buffer).toString('utf16le')
  }

  #readDouble(): number {
    const bytes = Buffer.from(Array.from({ length: 8 }, () => this.#readByte()))
    return bytes.readDoubleLE()
  }

  #readNatural(): number {
    let value = 0
    for (let unit = 1; ; unit *= 0x80) {
      const byte = this.#readByte()
      value += (byte % 0x80) * unit
      if (byte < 0x80) return value
    }
  }

  #readByte(): number {
    return this.#text.charCodeAt(this.#at++)
  }
}

function isLatin1(value: string): boolean {
  for (let place = 0; place < value.length; place += 1) if (value.charCodeAt(place) > 0xff) return false
  return true
}
