import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readKeyFile, writeKeyFile } from '../../../src/node/admin/key-file.js'
import { readOperatorsFile } from '../../../src/node/admin/operators.js'
import { anna, ben, idOf } from './support/operators.js'

let folder: string
let file: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stateward-admin-'))
  file = join(folder, 'key.json')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const seed = new Uint8Array(32).fill(1)
const isRoot = process.getuid?.() === 0

describe('a key file', () => {
  it('[N-305] is readable by its owner alone, whatever the mask of the process', async () => {
    const mask = process.umask(0o777)
    try {
      await writeKeyFile(file, seed)
    } finally {
      process.umask(mask)
    }
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    const { operatorId, key } = await readKeyFile(file)
    expect(operatorId).toBe(idOf(anna))
    expect(key.sign(Buffer.from('x'))).toBe(anna.sign(Buffer.from('x')))
  })

  it('[N-305] never takes the place of another', async () => {
    await writeKeyFile(file, seed)
    const before = await readFile(file, 'utf8')
    await expect(writeKeyFile(file, new Uint8Array(32).fill(2))).rejects.toMatchObject({ code: 'admin.file_exists' })
    expect(await readFile(file, 'utf8')).toBe(before)
  })

  it.each([
    [0o640, 'others can read it'],
    [0o604, 'others can read it'],
    [0o620, 'others can change it'],
    [0o602, 'others can change it'],
    [0o610, 'others can change it'],
  ])('[N-306] that others could use is refused: mode %o', async (mode, reason) => {
    await writeKeyFile(file, seed)
    await chmod(file, mode)
    await expect(readKeyFile(file)).rejects.toMatchObject({
      code: 'admin.file_exposed',
      data: { path: file, reason, mode },
    })
    await chmod(file, 0o400)
    expect((await readKeyFile(file)).operatorId).toBe(idOf(anna))
  })

  it.runIf(isRoot)('[N-306] of somebody else is refused', async () => {
    await writeKeyFile(file, seed)
    const { chown } = await import('node:fs/promises')
    await chown(file, 12_345, 12_345)
    await expect(readKeyFile(file)).rejects.toMatchObject({
      code: 'admin.file_exposed',
      data: { reason: 'it belongs to user 12345, not to 0' },
    })
  })

  it('[N-306] is a file, and no link to one', async () => {
    await expect(readKeyFile(file)).rejects.toMatchObject({
      code: 'admin.file_unusable',
      data: { reason: 'there is no such file' },
    })
    await writeKeyFile(join(folder, 'other.json'), seed)
    await symlink(join(folder, 'other.json'), file)
    await expect(readKeyFile(file)).rejects.toMatchObject({
      code: 'admin.file_unusable',
      data: { reason: 'it is a symbolic link, and none is followed' },
    })
    await mkdir(join(folder, 'folder'), { mode: 0o700 })
    await expect(readKeyFile(join(folder, 'folder'))).rejects.toMatchObject({ code: 'admin.file_unusable' })
  })

  it('[N-306] that holds something else is refused, and what it holds is told to nobody', async () => {
    await writeKeyFile(file, seed)
    const text = await readFile(file, 'utf8')
    const secret = '01'.repeat(32)
    expect(text).toContain(secret)
    const broken = [
      text.slice(0, -10),
      text.replace('stateward_admin_key', 'another'),
      text.replace('"version": 1', '"version": 2'),
      text.replace(secret, `${secret.slice(0, -1)}x`),
      text.replace(secret, '02'.repeat(32)),
      text.replace(anna.publicKey, ben.publicKey),
      text.replace('"private_key"', '"secret_key"'),
      `${secret}${text}`,
      text.padEnd(5000),
      '',
    ]
    for (const content of broken) {
      await writeFile(file, content)
      const error = await readKeyFile(file).then(
        () => undefined,
        (reason: unknown) => reason as Error,
      )
      expect(error).toMatchObject({ code: expect.stringMatching(/^(invalid_input|admin\.file_unusable)$/) })
      expect(`${error?.message} ${JSON.stringify(error)} ${String(error?.cause)}`).not.toContain('0101010101')
    }
  })
})

describe('a file of operators', () => {
  const content = {
    type: 'stateward_operators',
    version: 1,
    operators: [{ public_key: anna.publicKey, name: 'anna' }, { public_key: ben.publicKey }],
    ice_threshold: 2,
  }
  const write = (value: unknown): Promise<void> => writeFile(file, JSON.stringify(value), { mode: 0o644 })

  it('[N-307] says whom a node trusts', async () => {
    await write(content)
    const { operators, iceThreshold } = await readOperatorsFile(file)
    expect(operators.operators()).toEqual([
      { operatorId: idOf(anna), publicKey: anna.publicKey, name: 'anna' },
      { operatorId: idOf(ben), publicKey: ben.publicKey },
    ])
    expect(iceThreshold).toBe(2)
  })

  it('[N-307] may be read by others, and changed by nobody else', async () => {
    await write(content)
    await chmod(file, 0o664)
    await expect(readOperatorsFile(file)).rejects.toMatchObject({
      code: 'admin.file_exposed',
      data: { reason: 'others can change it' },
    })
  })

  it('[N-307] names each operator once, with a key that is one', async () => {
    await write({ ...content, operators: [{ public_key: anna.publicKey }, { public_key: anna.publicKey }] })
    await expect(readOperatorsFile(file)).rejects.toMatchObject({ code: 'admin.operator_conflict' })
    await write({ ...content, operators: [{ public_key: '00'.repeat(32) }] })
    await expect(readOperatorsFile(file)).rejects.toMatchObject({ code: 'admin.public_key_invalid' })
    await write({ ...content, ice_treshold: 2 })
    await expect(readOperatorsFile(file)).rejects.toMatchObject({
      code: 'invalid_input',
      data: { field: 'ice_treshold' },
    })
    await write({ ...content, ice_threshold: 0 })
    await expect(readOperatorsFile(file)).rejects.toMatchObject({ data: { field: 'ice_threshold' } })
  })
})
