"""Stored answers: what the service was seen to send, or shows on its pages."""

from __future__ import annotations

CANNOT_BE_EMPTY = (
    b'{"error_code":400,"error_code_str":"UNSUPPORTED_PARAMETER_VALUES","error_detail":'
    b'{"status_code":400,"code":"UNSUPPORTED_PARAMETER_VALUES","code_message":'
    b'"Invalid parameter values.","message":"Invalid parameter values. - person_image: Cannot be'
    b' empty."},"error_msg":"Invalid parameter values. - person_image: Cannot be empty."}'
)

NO_FACE = (
    b'{"error_code":422,"error_code_str":"FILE_CONTENT_NON_COMPLIANCE","error_detail":'
    b'{"status_code":422,"code":"ERROR_NO_FACE_IN_FILE","code_message":"No face detected in the'
    b' file.","message":"pic not has face"},"error_msg":"File content does not meet requirements.'
    b' - 222202 - pic not has face","request_id":"5E0BAD36","log_id":"77"}'
)

NEWEST_GENERATION = (
    b'{"request_id":"5E0BAD36","log_id":"77","error_detail":{"code":"ERROR_NOT_ENOUGH_CREDITS",'
    b'"code_message":"Not enough credits.","message":"Your credits are used up."}}'
)

DONE_AT_ONCE = (
    b'{"data":{"image_url":"https://ai-result-rapidapi.ailabtools.com/a/b.png"},"error_code":0,'
    b'"error_detail":{"status_code":200,"code":"","code_message":"","message":""},'
    b'"log_id":"77496025","request_id":"A6697900-DAA5-510F-BF1E-12F51DAD40D1"}'
)

TASK = (
    b'{"error_code":0,"task_id":"1788109088348.1e968d25-86f6-cef9-9010-69b485b12ecd",'
    b'"task_type":"async"}'
)

GATEWAY = b'{"message":"Endpoint \'/common/query-async-task-result\' does not exist"}'

GATEWAY_NOT_SUBSCRIBED = b'{"message":"You are not subscribed to this API."}'

GATEWAY_QUOTA = (
    b'{"message":"You have exceeded the MONTHLY quota for Requests on your current plan, BASIC."}'
)

BAD_GATEWAY_PAGE = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>"
    b"<center><h1>502 Bad Gateway</h1></center></body>\r\n</html>"
)
