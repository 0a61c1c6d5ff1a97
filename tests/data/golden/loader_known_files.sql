select file_name, status from load_files where status <> 'RETRY' and file_name in (?, ?, ?)
