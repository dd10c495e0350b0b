import type { JSX } from 'preact'
import { useRef, useState } from 'preact/hooks'
import { goTo } from '../address.js'
import { connection } from '../connection.js'

/**
 * Saves the content of the stream as a recording, and opens recordings. An opened file is read in the page and not sent
 * anywhere.
 */
export function Recording(): JSX.Element {
  const input = useRef<HTMLInputElement>(null)
  const [said, setSaid] = useState('')
  const open = async (file: File | undefined): Promise<void> => {
    if (file === undefined) return
    setSaid('reading…')
    try {
      await connection.openRecording(file, (fraction) => setSaid(`reading… ${Math.floor(fraction * 100)} %`))
      setSaid('')
      goTo({ screen: 'overview' })
    } catch (error) {
      setSaid(error instanceof Error ? error.message : String(error))
    }
  }
  return (
    <span class="recording">
      <output>{said}</output>
      {connection.isRecording.value ? (
        <button type="button" onClick={() => location.reload()}>
          close recording
        </button>
      ) : (
        <a href="recording" download="stateward-recording.jsonl">
          save recording
        </a>
      )}
      <button type="button" onClick={() => input.current?.click()}>
        open recording
      </button>
      <input
        ref={input}
        type="file"
        hidden
        accept=".jsonl"
        aria-label="Recording to open"
        onChange={({ currentTarget }) => {
          const [file] = currentTarget.files ?? []
          currentTarget.value = ''
          void open(file)
        }}
      />
    </span>
  )
}
