"""Passwords that everybody tries first, folded; digits and signs around them do not make them better."""

COMMON = frozenset(
    """
    1234567890 12345678910 123456789a 0123456789 9876543210 0987654321 1q2w3e4r5t 1qaz2wsx3edc 123qweasdzxc
    q1w2e3r4t5 a1b2c3d4e5 1122334455 1234512345 123123123123 121212121212 112233445566 147258369 159357456
    qwerty qwertyuiop qwertyui qwerty123456 asdfghjkl asdfghjklzxc zxcvbnm zxcvbnmasdf qazwsxedc qazwsx
    abc abcd abcdef abcdefghij abc123 abcabc aaa bbb test tester testtest temp temporary guest demo default
    admin administrator root superuser supervisor manager system server database oracle user username
    password passw0rd p@ssw0rd p@ssword pass passpass mypassword newpassword password1 secret letmein
    welcome hello helloworld changeme changemenow iloveyou ilovey0u iloveu loveyou love lovelove sunshine
    princess dragon monkey football baseball basketball superman batman pokemon starwars master killer shadow
    michael jordan jennifer jessica ashley freedom whatever trustno1 computer internet google facebook
    samsung iphone android windows microsoft flower summer winter spring autumn monday friday january
    matkhau matkhaumoi matkhaucuatoi mk quantri quantrihethong quanly nhanvien banhang telesale telesales
    khachhang congty giamdoc ketoan vanphong hethong dangnhap taikhoan
    anhyeuem emyeuanh yeuem yeuanh toiyeuban toiyeuem anhnhoem emnhoanh yeuemnhieu anhyeuemnhieu nhoem
    tinhyeu mayman hanhphuc giadinh concuame conyeume boyeu meyeu bome motminh khongbiet khongco khongnho
    vietnam vietnamvodich toiyeuvietnam hanoi saigon hochiminh danang haiphong cantho thanhcong
    nguyen tran quang tuan hung linh trang huong phuong thuy thanh minhanh baobao bongbong
    chot chotcrm crm telesalescrm ezsale getfly
    """.split()  # noqa: SIM905
)
