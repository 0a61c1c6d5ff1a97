merge into load_files as t
using (
    select
        ? as dataset, ? as table_name, ? as status, ? as batch_id, ? as error, ? as noted_at,
        column1 as file_name, column2 as row_count, column3 as size_bytes
    from values (?, ?, ?), (?, ?, ?)
) as s
on t.file_name = s.file_name
when matched and t.status <> 'LOADED' then update set
    row_count = s.row_count, size_bytes = s.size_bytes, dataset = s.dataset,
    table_name = s.table_name, status = s.status, batch_id = s.batch_id, error = s.error,
    noted_at = s.noted_at
when not matched then insert (
    file_name, row_count, size_bytes, dataset, table_name, status, batch_id, error, noted_at
) values (
    s.file_name, s.row_count, s.size_bytes, s.dataset, s.table_name, s.status, s.batch_id,
    s.error, s.noted_at
)
