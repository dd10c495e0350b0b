export {
  isTerminalProcessStatus,
  processStatuses,
  recoveryDispositions,
  terminalProcessStatuses,
  type EndAuthority,
  type ProcessStatus,
  type RecoveryDisposition,
  type TerminalProcessStatus,
} from '../../machines/process-vocabulary.js'
