"""An app whose jobs cost nothing and leave a trace: what workers are tried with."""
